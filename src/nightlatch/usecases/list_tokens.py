"""List live tokens: an owner sees the organization's, a member their own."""

from nightlatch.model.names import Role, UserId
from nightlatch.model.records import Page, TokenRecord
from nightlatch.model.standing import Identity
from nightlatch.store.tokens import list_live_tokens
from nightlatch.usecases.services import Services


def visible_user(identity: Identity) -> UserId | None:
    """Whose tokens the identity may see and end: None for everybody's in the organization."""
    return None if identity.role is Role.OWNER else identity.user_id


async def list_tokens(services: Services, identity: Identity, limit: int, offset: int) -> Page[TokenRecord]:
    """A page of the tokens that the identity may see, oldest first."""
    async with services.store.read() as connection:
        return await list_live_tokens(
            connection, identity.organization_id, visible_user(identity), limit, offset
        )
