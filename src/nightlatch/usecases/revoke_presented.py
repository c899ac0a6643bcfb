"""Revoke the token that somebody presents in full."""

from nightlatch.model.event import Event, EventKind, acting_caller
from nightlatch.model.standing import Caller, Standing
from nightlatch.model.token import parse_token
from nightlatch.store.events import insert_event
from nightlatch.store.tokens import delete_token, find_standing
from nightlatch.usecases.end_tokens import ending_tokens
from nightlatch.usecases.services import Services


async def revoke_presented(services: Services, caller: Caller, presented: bytes) -> Standing | None:
    """Delete the token for good if it is live and of the caller's organization; what it stood for.

    None if there was nothing to delete. Any member may end any token of the organization this
    way, a colleague's or an owner's too: who can present a token could log it out as well, and one
    that has come into other hands is better ended (RFC 7009 section 2.1 leaves the check to us).
    All well-formed tokens take the same time: it is waited until none of them is accepted (H15).
    """
    token = parse_token(presented)
    if token is None:
        return None
    async with ending_tokens(services) as connection:
        standing = await find_standing(connection, token.digest)
        if standing is None or standing.identity.organization_id != caller.identity.organization_id:
            return None
        if not await delete_token(connection, token.digest):
            return None
        event = Event(
            EventKind.TOKEN_REVOKED,
            acting_caller(caller),
            standing.identity.organization_id,
            standing.identity.user_id,
            standing.identity.email,
            standing.token_id,
            {"by": "presenter"},
        )
        await insert_event(connection, event)
        return standing
