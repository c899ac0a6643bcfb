"""Change what a member may do."""

from nightlatch.model.event import OPERATOR, Actor, Event, EventKind, acting_user
from nightlatch.model.names import OrganizationId, Role, UserId
from nightlatch.model.origin import Origin
from nightlatch.model.records import Membership
from nightlatch.model.session import Session
from nightlatch.store.connection import Connection
from nightlatch.store.events import insert_event
from nightlatch.store.memberships import find_membership, set_role
from nightlatch.store.pulse import confirm_primary
from nightlatch.usecases.find_person import find_fellow, keep_an_owner, lock_membership
from nightlatch.usecases.hold_session import hold_owner
from nightlatch.usecases.services import Services


async def change_role(
    services: Services, organization_id: OrganizationId, email: str, role: Role
) -> Membership:
    """The membership with its new role, in force everywhere; tokens go on, with it.

    Raises NotFound or LastOwner.
    """
    async with services.store.write() as connection:
        membership = await lock_membership(connection, organization_id, email)
        changed = await _change(connection, membership, role, OPERATOR)
    # Nothing ended, but an owner who is none any more must not act as one from memory.
    await services.currency.wait_in_force()
    return changed


async def change_role_as_owner(
    services: Services, session: Session, user_id: UserId, role: Role, origin: Origin
) -> Membership:
    """The same by an owner, who may give up that role as long as another has it.

    Raises NotFound, LastOwner, Forbidden, SessionEnded, StoreUnavailable.
    """
    async with services.store.write() as connection:
        identity = await hold_owner(connection, session)
        membership = await find_fellow(connection, identity, user_id)
        changed = await _change(connection, membership, role, acting_user(identity, None, origin))
        # That there was nothing to change is told, too.
        await confirm_primary(connection)
    await services.currency.wait_in_force()
    return changed


async def _change(connection: Connection, membership: Membership, role: Role, actor: Actor) -> Membership:
    organization_id, user_id = membership.organization_id, membership.user_id
    if membership.role is Role.OWNER and role is not Role.OWNER:
        await keep_an_owner(connection, membership, actor)
    await set_role(connection, organization_id, user_id, role)
    if role is not membership.role:
        event = Event(
            EventKind.MEMBER_CHANGED,
            actor,
            organization_id,
            user_id,
            membership.email,
            detail={"role": {"before": membership.role, "after": role}},
        )
        await insert_event(connection, event)
    changed = await find_membership(connection, organization_id, user_id)
    if changed is None:
        raise RuntimeError("a membership that is locked is missing")
    return changed
