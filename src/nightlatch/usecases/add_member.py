"""Add a known user to an organization, or change a member's role."""

from nightlatch.model.event import OPERATOR, Event, EventKind
from nightlatch.model.names import OrganizationId, Role
from nightlatch.model.records import Membership
from nightlatch.store.events import insert_event
from nightlatch.store.memberships import find_membership, insert_membership, set_role
from nightlatch.usecases.find_person import (
    find_known_user,
    keep_an_owner,
    lock_membership,
    lock_open_organization,
)
from nightlatch.usecases.services import Services


async def add_member(
    services: Services, organization_id: OrganizationId, email: str, role: Role
) -> Membership:
    """The new membership. Raises NotFound or AlreadyExists."""
    async with services.store.write() as connection:
        await lock_open_organization(connection, organization_id)
        user = await find_known_user(connection, email)
        await insert_membership(connection, organization_id, user.id, user.email, role)
        event = Event(
            EventKind.MEMBER_ADDED, OPERATOR, organization_id, user.id, user.email, detail={"role": role}
        )
        await insert_event(connection, event)
        membership = await find_membership(connection, organization_id, user.id)
    if membership is None:
        raise RuntimeError("a membership just inserted is missing")
    return membership


async def change_role(
    services: Services, organization_id: OrganizationId, email: str, role: Role
) -> Membership:
    """The membership with its new role, in force everywhere; tokens go on, with it.

    Raises NotFound or LastOwner.
    """
    async with services.store.write() as connection:
        membership = await lock_membership(connection, organization_id, email)
        if membership.role is Role.OWNER and role is not Role.OWNER:
            await keep_an_owner(connection, membership)
        await set_role(connection, organization_id, membership.user_id, role)
        if role is not membership.role:
            await insert_event(connection, _changed(membership, role))
        changed = await find_membership(connection, organization_id, membership.user_id)
    # Nothing ended, but an owner who is none any more must not act as one from memory.
    await services.currency.wait_in_force()
    if changed is None:
        raise RuntimeError("a membership that is locked is missing")
    return changed


def _changed(membership: Membership, role: Role) -> Event:
    return Event(
        EventKind.MEMBER_CHANGED,
        OPERATOR,
        membership.organization_id,
        membership.user_id,
        membership.email,
        detail={"role": {"before": membership.role, "after": role}},
    )
