"""Revoke a token, or a child token, by its id: an owner any of the organization's, a member their own."""

from nightlatch.model.errors import NotFound
from nightlatch.model.event import Event, EventKind, acting_caller
from nightlatch.model.names import OrganizationId, TokenId, UserId
from nightlatch.model.records import EndedChild, EndedToken
from nightlatch.model.standing import Caller
from nightlatch.store.child_tokens import delete_child, find_live_child
from nightlatch.store.connection import Connection
from nightlatch.store.events import insert_event
from nightlatch.store.tokens import delete_token_by_id, find_live_token
from nightlatch.store.users import get_email
from nightlatch.usecases.end_tokens import ending_tokens
from nightlatch.usecases.list_tokens import visible_user
from nightlatch.usecases.services import Services


async def revoke_token(services: Services, caller: Caller, token_id: TokenId) -> None:
    """Delete the token, and its children with it.

    Raises NotFound, in the same words for one that never was, one that is not live any more and
    one that the identity may not see.
    """
    identity = caller.identity
    organization_id = identity.organization_id
    async with ending_tokens(services) as connection:
        ended = await _delete(connection, organization_id, visible_user(identity), token_id)
        email = await get_email(connection, ended.user_id)
        of_child = {"parent_id": ended.parent_id} if isinstance(ended, EndedChild) else {}
        event = Event(
            EventKind.CHILD_TOKEN_REVOKED if of_child else EventKind.TOKEN_REVOKED,
            acting_caller(caller),
            organization_id,
            ended.user_id,
            email,
            token_id,
            {"by": identity.role, **of_child},
        )
        await insert_event(connection, event)


async def _delete(
    connection: Connection, organization_id: OrganizationId, user_id: UserId | None, token_id: TokenId
) -> EndedToken:
    if await find_live_token(connection, organization_id, user_id, token_id):
        for ended in await delete_token_by_id(connection, organization_id, token_id):
            return ended
    if await find_live_child(connection, organization_id, user_id, token_id):
        child = await delete_child(connection, organization_id, token_id)
        if child is not None:
            return child
    raise NotFound("Not found.")
