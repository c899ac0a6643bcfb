"""Revoke the token, or the child token, that somebody presents in full."""

from nightlatch.model.event import Event, EventKind, acting_caller
from nightlatch.model.imported import spell_token
from nightlatch.model.names import TokenId
from nightlatch.model.standing import Caller, Standing
from nightlatch.model.token import TokenDigest
from nightlatch.store.child_tokens import delete_child, find_child_standing
from nightlatch.store.connection import Connection
from nightlatch.store.events import insert_event
from nightlatch.store.tokens import delete_token, find_first_standing
from nightlatch.usecases.end_tokens import ending_tokens
from nightlatch.usecases.services import Services


async def revoke_presented(services: Services, caller: Caller, presented: bytes) -> Standing | None:
    """Delete the token for good if it is live and of the caller's organization; what it stood for.

    None if there was nothing to delete. Any member may end any token of the organization this
    way, a colleague's or an owner's too: who can present a token could log it out as well, and one
    that has come into other hands is better ended (RFC 7009 section 2.1 leaves the check to us).
    All well-formed tokens take the same time: it is waited until none of them is accepted (H15).
    """
    token = spell_token(presented)
    digests = () if token is None else await services.fills.digests(token)
    if not digests:
        return None
    async with ending_tokens(services) as connection:
        digest, standing = await find_first_standing(connection, digests)
        if standing is None:
            standing = await find_child_standing(connection, digest)
        if standing is None or standing.identity.organization_id != caller.identity.organization_id:
            return None
        of_child = await _delete(connection, standing, digest)
        if of_child is None:
            return None
        event = Event(
            EventKind.CHILD_TOKEN_REVOKED if of_child else EventKind.TOKEN_REVOKED,
            acting_caller(caller),
            standing.identity.organization_id,
            standing.identity.user_id,
            standing.identity.email,
            standing.token_id,
            {"by": "presenter", **of_child},
        )
        await insert_event(connection, event)
        return standing


async def _delete(
    connection: Connection, standing: Standing, digest: TokenDigest
) -> dict[str, TokenId] | None:
    """What is to be recorded of a child (nothing of a token); None if it was gone."""
    if standing.descent is None:
        return {} if await delete_token(connection, digest) else None
    child = await delete_child(connection, standing.identity.organization_id, standing.token_id)
    return None if child is None else {"parent_id": child.parent_id}
