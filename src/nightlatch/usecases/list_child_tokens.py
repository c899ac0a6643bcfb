"""List live child tokens of a token: an owner of any of the organization's, a member of one of their own."""

from nightlatch.model.errors import NotFound
from nightlatch.model.names import TokenId
from nightlatch.model.records import ChildTokenRecord, Page
from nightlatch.model.standing import Identity
from nightlatch.store.child_tokens import list_children
from nightlatch.store.tokens import find_live_token
from nightlatch.usecases.list_tokens import visible_user
from nightlatch.usecases.services import Services


async def list_child_tokens(
    services: Services, identity: Identity, parent_id: TokenId, limit: int, offset: int
) -> Page[ChildTokenRecord]:
    """A page of the token's children, oldest first. Raises NotFound as `revoke_token` does."""
    organization_id = identity.organization_id
    async with services.store.read() as connection:
        if not await find_live_token(connection, organization_id, visible_user(identity), parent_id):
            raise NotFound("Not found.")
        return await list_children(connection, organization_id, parent_id, limit, offset)
