"""Choose tokens by what they have in common, and end those that were chosen, in the console."""

from collections.abc import Collection
from typing import Any, Final

from nightlatch.model.errors import InvalidValue
from nightlatch.model.event import Event, EventKind, acting_user
from nightlatch.model.names import TokenId, UserId, is_token_id
from nightlatch.model.origin import Origin
from nightlatch.model.records import EndedToken, EndedTokens, TokenChoice, TokenRecord
from nightlatch.model.session import Session
from nightlatch.model.standing import Identity
from nightlatch.store.connection import Connection
from nightlatch.store.events import insert_event, read_now
from nightlatch.store.tokens import delete_tokens_by_id, list_chosen_tokens
from nightlatch.store.users import get_email
from nightlatch.usecases.end_tokens import ending_tokens
from nightlatch.usecases.hold_session import hold_session
from nightlatch.usecases.list_tokens import visible_user
from nightlatch.usecases.services import Services

IDLE_DAYS_MAX: Final = 3650
CHOSEN_MAX: Final = 10_000
"""More ids at once than any organization's limit of tokens."""


async def choose_tokens(services: Services, session: Session, choice: TokenChoice) -> tuple[TokenRecord, ...]:
    """The live tokens that fit, and that the session's user may end; oldest first.

    An owner chooses among the organization's, a member among their own; what belongs to others is not
    found, as if it never was. Raises InvalidValue('id' or 'idle_days'), StoreUnavailable.
    """
    if choice.idle_days is not None and not 1 <= choice.idle_days <= IDLE_DAYS_MAX:
        raise InvalidValue("idle_days", f"A number of days from 1 to {IDLE_DAYS_MAX}.")
    if choice.ids is not None:
        _check(choice.ids)
    if choice.email is not None and "\x00" in choice.email:
        return ()  # which no database text holds
    identity = session.identity
    async with services.store.read() as connection:
        return await list_chosen_tokens(connection, identity.organization_id, visible_user(identity), choice)


async def end_chosen_tokens(
    services: Services, session: Session, ids: Collection[TokenId], origin: Origin
) -> EndedTokens:
    """End those of the tokens that are live, and that the session's user may end.

    When this returns, what was ended is accepted nowhere any more; the same holds of what was gone. Of two
    who end a token at once, one ended it. One action is one event. Raises InvalidValue('id'),
    SessionEnded, StoreUnavailable.
    """
    _check(ids)
    asked = frozenset(ids)
    async with ending_tokens(services) as connection:
        identity = await hold_session(connection, session)
        choice = TokenChoice(ids=asked)
        found = await list_chosen_tokens(connection, identity.organization_id, visible_user(identity), choice)
        # A logout of one of them does not wait for the session's locks: the deletion decides.
        deleted = await delete_tokens_by_id(
            connection, identity.organization_id, [record.id for record in found]
        )
        if deleted:
            await _record(connection, identity, deleted, origin)
        at = await read_now(connection)
    ended_ids = {token.id for token in deleted}
    ended = tuple(record for record in found if record.id in ended_ids)
    return EndedTokens(ended, len(asked) - len(ended), at)


async def _record(
    connection: Connection, identity: Identity, deleted: list[EndedToken], origin: Origin
) -> None:
    users = {token.user_id for token in deleted}
    user_id: UserId | None = users.pop() if len(users) == 1 else None
    email = None if user_id is None else await get_email(connection, user_id)
    detail: dict[str, Any] = {"by": identity.role}
    token_id = None
    if len(deleted) == 1:
        kind, token_id = EventKind.TOKEN_REVOKED, deleted[0].id
    else:
        kind = EventKind.TOKENS_REVOKED
        detail["ended_tokens"] = sorted(token.id for token in deleted)
    actor = acting_user(identity, None, origin)
    event = Event(kind, actor, identity.organization_id, user_id, email, token_id, detail)
    await insert_event(connection, event)


def _check(ids: Collection[TokenId]) -> None:
    if len(ids) > CHOSEN_MAX:
        raise InvalidValue("id", f"At most {CHOSEN_MAX} tokens at once.")
    if not all(map(is_token_id, ids)):
        raise InvalidValue("id", "A token's id has 12 letters and digits.")
