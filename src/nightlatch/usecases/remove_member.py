"""Remove a member from an organization."""

from nightlatch.model.event import OPERATOR, Actor, Event, EventKind, acting_user
from nightlatch.model.names import OrganizationId, Role, UserId
from nightlatch.model.origin import Origin
from nightlatch.model.records import EndedToken, Membership
from nightlatch.model.session import Session
from nightlatch.store.connection import Connection
from nightlatch.store.events import insert_event
from nightlatch.store.memberships import delete_membership
from nightlatch.store.sessions import delete_sessions_of_member
from nightlatch.store.tokens import delete_tokens_in_organization
from nightlatch.usecases.end_tokens import ending_tokens
from nightlatch.usecases.find_person import find_fellow, keep_an_owner, lock_membership
from nightlatch.usecases.hold_session import hold_owner
from nightlatch.usecases.services import Services


async def remove_member(services: Services, organization_id: OrganizationId, email: str) -> list[EndedToken]:
    """End the membership and the tokens and sessions that came with it. Raises NotFound or LastOwner."""
    async with ending_tokens(services) as connection:
        membership = await lock_membership(connection, organization_id, email)
        return await _remove(connection, membership, OPERATOR)


async def remove_member_as_owner(
    services: Services, session: Session, user_id: UserId, origin: Origin
) -> list[EndedToken]:
    """The same by an owner, who may remove themself as long as there is another.

    Raises NotFound, LastOwner, Forbidden, SessionEnded, StoreUnavailable.
    """
    async with ending_tokens(services) as connection:
        identity = await hold_owner(connection, session)
        membership = await find_fellow(connection, identity, user_id)
        return await _remove(connection, membership, acting_user(identity, None, origin))


async def _remove(connection: Connection, membership: Membership, actor: Actor) -> list[EndedToken]:
    organization_id, user_id = membership.organization_id, membership.user_id
    if membership.role is Role.OWNER and membership.disabled is None:
        await keep_an_owner(connection, membership, actor)
    # They would end with the membership. But before the tokens, as where a password changes: two transactions
    # that each had what the other wants next would wait in a circle.
    await delete_sessions_of_member(connection, organization_id, user_id)
    ended = await delete_tokens_in_organization(connection, organization_id, user_id)
    await delete_membership(connection, organization_id, user_id)
    event = Event(
        EventKind.MEMBER_REMOVED,
        actor,
        organization_id,
        user_id,
        membership.email,
        detail={"role": membership.role, "ended_tokens": [token.id for token in ended]},
    )
    await insert_event(connection, event)
    return ended
