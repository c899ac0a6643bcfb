"""Invite somebody to an organization by a link, and withdraw that."""

from nightlatch.model.errors import AlreadyExists, InvitationLimitReached, NotFound
from nightlatch.model.event import Event, EventKind, acting_user
from nightlatch.model.invitation import (
    PENDING_MAX,
    VALID_SECONDS,
    InvitationId,
    InvitationRecord,
    IssuedInvitation,
)
from nightlatch.model.names import Email, Role, parse_email
from nightlatch.model.origin import Origin
from nightlatch.model.secret import INVITATION
from nightlatch.model.session import Session
from nightlatch.model.standing import Identity
from nightlatch.store.connection import Connection
from nightlatch.store.events import insert_event
from nightlatch.store.invitations import (
    count_invitations,
    delete_invitation,
    delete_invitation_of,
    insert_invitation,
)
from nightlatch.store.memberships import is_member
from nightlatch.store.pulse import confirm_primary
from nightlatch.usecases.hold_session import hold_owner
from nightlatch.usecases.services import Services


async def invite_member(
    services: Services, session: Session, email: str, role: Role, origin: Origin
) -> IssuedInvitation:
    """An invitation of that address; the one before it to the same address ends.

    Whether there is a user with that address elsewhere, nothing here tells. Raises InvalidValue('email'),
    AlreadyExists for a member, InvitationLimitReached, Forbidden, SessionEnded or StoreUnavailable.
    """
    address = parse_email(email)
    secret = INVITATION.generate()
    async with services.store.write() as connection:
        identity = await hold_owner(connection, session)
        organization_id = identity.organization_id
        if await is_member(connection, organization_id, address):
            raise AlreadyExists(f"{address} is a member already.")
        await delete_invitation_of(connection, organization_id, address)
        if await count_invitations(connection, organization_id) >= PENDING_MAX:
            raise InvitationLimitReached(PENDING_MAX)
        issued = await insert_invitation(
            connection, organization_id, address, role, identity.email, secret, VALID_SECONDS
        )
        await _record(connection, EventKind.MEMBER_INVITED, identity, address, role, origin)
    return issued


async def withdraw_invitation(
    services: Services, session: Session, invitation_id: InvitationId, origin: Origin
) -> InvitationRecord:
    """The invitation, whose link works no more.

    Raises NotFound, Forbidden, SessionEnded, StoreUnavailable.
    """
    async with services.store.write() as connection:
        identity = await hold_owner(connection, session)
        withdrawn = None
        if "\x00" not in invitation_id:
            withdrawn = await delete_invitation(connection, identity.organization_id, invitation_id)
        if withdrawn is None:
            raise NotFound("There is no such invitation, or not any more.")
        await _record(
            connection, EventKind.INVITATION_WITHDRAWN, identity, withdrawn.email, withdrawn.role, origin
        )
        await confirm_primary(connection)
    return withdrawn


async def _record(
    connection: Connection, kind: EventKind, identity: Identity, email: Email, role: Role, origin: Origin
) -> None:
    actor = acting_user(identity, None, origin)
    # Not whose user it is: there may be none, and that is nobody's business.
    event = Event(kind, actor, identity.organization_id, email=email, detail={"role": role})
    await insert_event(connection, event)
