"""Add a known user to an organization."""

from nightlatch.model.event import OPERATOR, Event, EventKind
from nightlatch.model.names import OrganizationId, Role
from nightlatch.model.records import Membership
from nightlatch.store.events import insert_event
from nightlatch.store.memberships import find_membership, insert_membership
from nightlatch.store.password_links import delete_links
from nightlatch.store.users import list_organization_ids
from nightlatch.usecases.find_person import lock_known_user, lock_open_organization
from nightlatch.usecases.services import Services


async def add_member(
    services: Services, organization_id: OrganizationId, email: str, role: Role
) -> Membership:
    """The new membership. Raises NotFound or AlreadyExists.

    A member of another organization loses a link to set their password: one of its owners may have it.
    """
    async with services.store.write() as connection:
        await lock_open_organization(connection, organization_id)
        user = await lock_known_user(connection, email)
        if await list_organization_ids(connection, user.id):
            await delete_links(connection, user.id)
        await insert_membership(connection, organization_id, user.id, user.email, role)
        event = Event(
            EventKind.MEMBER_ADDED, OPERATOR, organization_id, user.id, user.email, detail={"role": role}
        )
        await insert_event(connection, event)
        membership = await find_membership(connection, organization_id, user.id)
    if membership is None:
        raise RuntimeError("a membership just inserted is missing")
    return membership
