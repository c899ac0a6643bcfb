"""List who belongs to an organization, and who was invited, for its owners."""

from nightlatch.model.errors import Forbidden
from nightlatch.model.invitation import InvitationRecord
from nightlatch.model.names import OrganizationId, Role
from nightlatch.model.records import Membership
from nightlatch.model.session import Session
from nightlatch.store.invitations import list_invitations as list_stored
from nightlatch.store.memberships import list_memberships
from nightlatch.usecases.services import Services


async def list_members(services: Services, session: Session) -> tuple[Membership, ...]:
    """The organization's members, by e-mail address. Raises Forbidden for a member, StoreUnavailable."""
    organization_id = _owned(session)
    async with services.store.read() as connection:
        return tuple(await list_memberships(connection, organization_id))


async def list_invitations(services: Services, session: Session) -> tuple[InvitationRecord, ...]:
    """Its invitations that nobody has used, by e-mail address; those expired say so for a week.

    Raises Forbidden for a member, StoreUnavailable.
    """
    organization_id = _owned(session)
    async with services.store.read() as connection:
        return tuple(await list_stored(connection, organization_id))


def _owned(session: Session) -> OrganizationId:
    if session.identity.role is not Role.OWNER:
        raise Forbidden
    return session.identity.organization_id
