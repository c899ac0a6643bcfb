"""Issue a token within the organization's limit: what logging in and creating one have in common."""

from collections.abc import Callable, Coroutine
from typing import Any

from nightlatch.model.errors import InvalidValue, TokenLimitReached
from nightlatch.model.names import LimitPolicy, OrganizationId
from nightlatch.model.records import TIME_TO_LIVE_SECONDS_MAX, EndedToken, IssuedToken
from nightlatch.store.connection import Connection
from nightlatch.store.logins import Limit, LoginCandidate, lock_candidate
from nightlatch.store.tokens import make_place
from nightlatch.usecases.end_tokens import ending_tokens
from nightlatch.usecases.services import Services

StoreToken = Callable[[Connection, list[EndedToken]], Coroutine[Any, Any, IssuedToken]]
"""Stores the token and its event in a transaction, given what was ended in it to make place."""


async def issue_token(services: Services, candidate: LoginCandidate, store: StoreToken) -> IssuedToken:
    """The token that `store` stored, durable before this returns.

    At the limit the organization's policy decides: refuse, or end a token to make place, for which `store`
    is called again. What was ended is accepted nowhere any more when this returns. Raises
    TokenLimitReached, and what `store` raises.
    """
    try:
        async with services.store.write() as connection:
            issued = await store(connection, [])
        return issued
    except TokenLimitReached:
        if candidate.limit_policy is LimitPolicy.REFUSE:
            raise
    async with ending_tokens(services) as connection:
        limit = await lock_candidate(connection, candidate)
        replaced = [] if limit is None else await _make_place(connection, candidate.organization_id, limit)
        issued = await store(connection, replaced)
    return issued


def allowed_time_to_live(asked: int | None, candidate: LoginCandidate) -> int | None:
    """The time to live that was asked for, in seconds, or (None) the organization's; None: no end.

    Told only to people who have shown who they are, or it would tell which organizations exist. Raises
    InvalidValue('time_to_live').
    """
    allowed = candidate.time_to_live
    if asked is None:
        return allowed
    most = TIME_TO_LIVE_SECONDS_MAX if allowed is None else allowed
    if asked > most:
        raise InvalidValue("time_to_live", f"Ensure this value is less than or equal to {most}.")
    return asked


async def _make_place(
    connection: Connection, organization_id: OrganizationId, limit: Limit
) -> list[EndedToken]:
    if limit.policy is LimitPolicy.REFUSE:
        return []  # since the candidate was read: the insert decides
    by_use = limit.policy is LimitPolicy.REPLACE_LEAST_RECENTLY_USED
    return await make_place(connection, organization_id, limit.tokens, by_use)
