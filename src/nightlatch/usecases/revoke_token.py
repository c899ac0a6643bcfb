"""Revoke a token by its id: an owner any of the organization's, a member one of their own."""

from nightlatch.model.errors import NotFound
from nightlatch.model.event import Event, EventKind, acting_caller
from nightlatch.model.names import TokenId
from nightlatch.model.standing import Caller
from nightlatch.store.events import insert_event
from nightlatch.store.tokens import delete_token_by_id, find_live_token
from nightlatch.store.users import get_email
from nightlatch.usecases.end_tokens import ending_tokens
from nightlatch.usecases.list_tokens import visible_user
from nightlatch.usecases.services import Services


async def revoke_token(services: Services, caller: Caller, token_id: TokenId) -> None:
    """Delete the token.

    Raises NotFound, in the same words for one that never was, one that is not live any more and
    one that the identity may not see.
    """
    identity = caller.identity
    organization_id = identity.organization_id
    async with ending_tokens(services) as connection:
        found = await find_live_token(connection, organization_id, visible_user(identity), token_id)
        ended = await delete_token_by_id(connection, organization_id, token_id) if found else []
        if not ended:
            raise NotFound("Not found.")
        user_id = ended[0].user_id
        email = await get_email(connection, user_id)
        event = Event(
            EventKind.TOKEN_REVOKED,
            acting_caller(caller),
            organization_id,
            user_id,
            email,
            token_id,
            {"by": identity.role},
        )
        await insert_event(connection, event)
