"""See and end an organization's tokens as an operator."""

from nightlatch.model.errors import NotFound
from nightlatch.model.event import OPERATOR, Event, EventKind
from nightlatch.model.names import OrganizationId, TokenId
from nightlatch.model.records import ChildTokenRecord, EndedToken, TokenRecord
from nightlatch.store import tokens
from nightlatch.store.child_tokens import delete_child, list_children_in_organization
from nightlatch.store.events import insert_event
from nightlatch.store.organizations import find_organization
from nightlatch.store.users import get_email
from nightlatch.usecases.end_tokens import ending_tokens
from nightlatch.usecases.find_person import lock_membership, lock_open_organization
from nightlatch.usecases.organization_rules import no_organization
from nightlatch.usecases.services import Services

_ALL = 2**31 - 1


async def show_tokens(services: Services, organization_id: OrganizationId) -> tuple[TokenRecord, ...]:
    """All live tokens of the organization, oldest first. Raises NotFound."""
    async with services.store.read() as connection:
        if await find_organization(connection, organization_id) is None:
            raise no_organization(organization_id)
        page = await tokens.list_live_tokens(connection, organization_id, None, _ALL, 0)
    return page.items


async def show_child_tokens(
    services: Services, organization_id: OrganizationId
) -> tuple[ChildTokenRecord, ...]:
    """All live child tokens of the organization, oldest first. Raises NotFound."""
    async with services.store.read() as connection:
        if await find_organization(connection, organization_id) is None:
            raise no_organization(organization_id)
        return await list_children_in_organization(connection, organization_id)


async def revoke_one(
    services: Services, organization_id: OrganizationId, token_id: TokenId
) -> list[EndedToken]:
    """End one token or child token of the organization. Raises NotFound."""
    async with ending_tokens(services) as connection:
        ended = await tokens.delete_token_by_id(connection, organization_id, token_id)
        child = None if ended else await delete_child(connection, organization_id, token_id)
        if child is not None:
            ended = [child]
        if not ended:
            raise NotFound(
                f"'{organization_id}' has no token '{token_id}'. To see which it has: "
                f"nightlatch token list --organization {organization_id}"
            )
        user_id = ended[0].user_id
        email = await get_email(connection, user_id)
        kind = EventKind.TOKEN_REVOKED if child is None else EventKind.CHILD_TOKEN_REVOKED
        detail = {} if child is None else {"parent_id": child.parent_id}
        event = Event(kind, OPERATOR, organization_id, user_id, email, token_id, detail)
        await insert_event(connection, event)
    return ended


async def revoke_all(
    services: Services, organization_id: OrganizationId, email: str | None
) -> list[EndedToken]:
    """End all tokens of the organization, or one member's. Raises NotFound."""
    async with ending_tokens(services) as connection:
        user_id = user_email = None
        if email is None:
            await lock_open_organization(connection, organization_id)
        else:
            membership = await lock_membership(connection, organization_id, email)
            user_id, user_email = membership.user_id, membership.email
        ended = await tokens.delete_tokens_in_organization(connection, organization_id, user_id)
        detail = {"ended_tokens": [token.id for token in ended]}
        event = Event(EventKind.TOKENS_REVOKED, OPERATOR, organization_id, user_id, user_email, detail=detail)
        await insert_event(connection, event)
    return ended
