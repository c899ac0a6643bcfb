"""Revoke a token by its id: an owner any of the organization's, a member one of their own."""

from nightlatch.model.errors import NotFound
from nightlatch.model.names import TokenId
from nightlatch.model.standing import Identity
from nightlatch.store.tokens import delete_token_by_id, find_live_token
from nightlatch.usecases.end_tokens import ending_tokens
from nightlatch.usecases.list_tokens import visible_user
from nightlatch.usecases.services import Services


async def revoke_token(services: Services, identity: Identity, token_id: TokenId) -> None:
    """Delete the token.

    Raises NotFound, in the same words for one that never was, one that is not live any more and
    one that the identity may not see.
    """
    async with ending_tokens(services) as connection:
        organization_id = identity.organization_id
        if not await find_live_token(
            connection, organization_id, visible_user(identity), token_id
        ) or not await delete_token_by_id(connection, organization_id, token_id):
            raise NotFound("Not found.")
