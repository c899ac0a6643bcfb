"""Remove a member from an organization."""

from nightlatch.model.event import OPERATOR, Event, EventKind
from nightlatch.model.names import OrganizationId, Role
from nightlatch.model.records import EndedToken
from nightlatch.store.events import insert_event
from nightlatch.store.memberships import delete_membership
from nightlatch.store.tokens import delete_tokens_in_organization
from nightlatch.usecases.end_tokens import ending_tokens
from nightlatch.usecases.find_person import keep_an_owner, lock_membership
from nightlatch.usecases.services import Services


async def remove_member(services: Services, organization_id: OrganizationId, email: str) -> list[EndedToken]:
    """End the membership and the tokens that came with it. Raises NotFound or LastOwner."""
    async with ending_tokens(services) as connection:
        membership = await lock_membership(connection, organization_id, email)
        if membership.role is Role.OWNER and membership.disabled is None:
            await keep_an_owner(connection, membership)
        ended = await delete_tokens_in_organization(connection, organization_id, membership.user_id)
        await delete_membership(connection, organization_id, membership.user_id)
        event = Event(
            EventKind.MEMBER_REMOVED,
            OPERATOR,
            organization_id,
            membership.user_id,
            membership.email,
            detail={"role": membership.role, "ended_tokens": [token.id for token in ended]},
        )
        await insert_event(connection, event)
    return ended
