"""Create a token in the console: in a session, without a password."""

from typing import Final

from nightlatch.model.attempt import created_tokens_key
from nightlatch.model.errors import InvalidValue, SessionEnded, Throttled
from nightlatch.model.event import Event, EventKind, acting_user
from nightlatch.model.names import parse_token_name
from nightlatch.model.origin import Origin
from nightlatch.model.rate import Rate
from nightlatch.model.records import EndedToken, IssuedToken
from nightlatch.model.session import Session
from nightlatch.model.token import generate_token
from nightlatch.store.connection import Connection
from nightlatch.store.events import insert_event
from nightlatch.store.logins import NewToken, find_member_candidate, insert_token
from nightlatch.store.throttles import judge
from nightlatch.usecases.hold_session import hold_session
from nightlatch.usecases.issue_token import allowed_time_to_live, issue_token
from nightlatch.usecases.services import Services

CREATED: Final = Rate(200, 3600)
"""By one user in one organization. A login is slowed down by its hash; expired tokens take up space for a
while."""


async def create_token(
    services: Services, session: Session, name: str, time_to_live: int | None, origin: Origin
) -> IssuedToken:
    """A new token of the session's user, durable before this returns, within the organization's limit.

    `time_to_live` in seconds, at most the organization's; None: as long as that allows. At the limit the
    organization's policy decides, as at a login. The token's client is not known: it has no user agent.

    Raises InvalidValue('name' or 'time_to_live'), TokenLimitReached, Throttled, SessionEnded or
    StoreUnavailable; after the last, the token may exist, but nobody has it.
    """
    label = parse_token_name(name)
    if time_to_live is not None and time_to_live < 1:
        raise InvalidValue("time_to_live", "Ensure this value is greater than or equal to 1.")
    organization_id, user_id = session.identity.organization_id, session.identity.user_id
    async with services.store.read() as connection:
        candidate = await find_member_candidate(connection, organization_id, user_id)
    if candidate is None or not candidate.active:
        raise SessionEnded
    new = NewToken(generate_token(), label, "", allowed_time_to_live(time_to_live, candidate))
    key = created_tokens_key(organization_id, user_id)

    async def store(connection: Connection, replaced: list[EndedToken]) -> IssuedToken:
        identity = await hold_session(connection, session)
        if wait := await judge(connection, key, CREATED):
            raise Throttled(wait, "tokens created by a user")
        stored = await insert_token(connection, candidate, new)
        if stored is None:
            raise SessionEnded  # with the password that the session began with
        event = Event(
            EventKind.TOKEN_CREATED,
            acting_user(identity, None, origin),
            organization_id,
            user_id,
            identity.email,
            new.token.id,
            {"replaced_tokens": [token.id for token in replaced]} if replaced else {},
        )
        await insert_event(connection, event)
        return IssuedToken(new.token, stored.expiry, tuple(replaced))

    return await issue_token(services, candidate, store)
