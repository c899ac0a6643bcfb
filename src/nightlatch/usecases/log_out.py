"""Log out: delete the token that the request came with, or all of its user's."""

from collections.abc import Sequence
from typing import Any

from nightlatch.model.errors import Forbidden, TokenRejected
from nightlatch.model.event import Event, EventKind, acting_user
from nightlatch.model.imported import SpelledToken
from nightlatch.model.origin import Origin
from nightlatch.model.records import EndedToken
from nightlatch.model.standing import Standing
from nightlatch.model.token import TokenDigest
from nightlatch.store.child_tokens import find_child_standing
from nightlatch.store.connection import Connection
from nightlatch.store.events import insert_event
from nightlatch.store.tokens import delete_token, delete_tokens_in_organization, find_first_standing
from nightlatch.usecases.end_tokens import ending_tokens
from nightlatch.usecases.services import Services


async def log_out(services: Services, token: SpelledToken, origin: Origin) -> Standing:
    """Delete the token, and its children with it, for good; what it stood for.

    Raises TokenRejected if it is not live, Forbidden for a child token.
    """
    digests = await _digests(services, token)
    async with ending_tokens(services) as connection:
        digest, standing = await _find(connection, digests)
        if not await delete_token(connection, digest):
            raise TokenRejected("logout with a token that is not live")
        await insert_event(connection, _event(EventKind.LOGOUT, standing, origin, {}))
    return standing


async def log_out_everywhere(
    services: Services, token: SpelledToken, origin: Origin
) -> tuple[Standing, list[EndedToken]]:
    """Delete every token that the token's user has in its organization.

    Raises TokenRejected if the token is not live, Forbidden for a child token.
    """
    digests = await _digests(services, token)
    async with ending_tokens(services) as connection:
        _, standing = await _find(connection, digests)
        identity = standing.identity
        ended = await delete_tokens_in_organization(connection, identity.organization_id, identity.user_id)
        detail = {"ended_tokens": [token.id for token in ended]}
        await insert_event(connection, _event(EventKind.LOGOUT_ALL, standing, origin, detail))
    return standing, ended


async def _digests(services: Services, token: SpelledToken) -> tuple[TokenDigest, ...]:
    digests = await services.fills.digests(token)
    if not digests:
        raise TokenRejected("nothing of that kind was imported")
    return digests


async def _find(connection: Connection, digests: Sequence[TokenDigest]) -> tuple[TokenDigest, Standing]:
    digest, standing = await find_first_standing(connection, digests)
    if standing is not None:
        return digest, standing
    if await find_child_standing(connection, digest) is not None:
        raise Forbidden
    raise TokenRejected("logout with a token that is not live")


def _event(kind: EventKind, standing: Standing, origin: Origin, detail: dict[str, Any]) -> Event:
    identity = standing.identity
    return Event(
        kind,
        acting_user(identity, standing.token_id, origin),
        identity.organization_id,
        identity.user_id,
        identity.email,
        standing.token_id,
        detail,
    )
