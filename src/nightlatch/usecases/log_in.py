"""Log in: a password for a token."""

from dataclasses import dataclass

from nightlatch.model.errors import CredentialsRejected, InvalidValue, Throttled, TokenLimitReached
from nightlatch.model.event import Actor, ActorKind, Event, EventKind
from nightlatch.model.origin import Origin
from nightlatch.model.records import EndedToken, IssuedToken
from nightlatch.model.token import generate_token
from nightlatch.store.connection import Connection
from nightlatch.store.events import insert_event
from nightlatch.store.logins import LoginCandidate, NewToken, StoredToken, insert_token
from nightlatch.store.throttles import judge
from nightlatch.store.users import store_rehash
from nightlatch.usecases.check_password import Credentials, PasswordShown, check_password
from nightlatch.usecases.issue_token import allowed_time_to_live, issue_token
from nightlatch.usecases.note_success import note_success, note_success_alone, wait_noted
from nightlatch.usecases.refuse_login import noting_refusals
from nightlatch.usecases.services import Services


@dataclass(frozen=True, slots=True)
class Login:
    """A login as it was asked for; `time_to_live` in seconds, None for the organization's."""

    credentials: Credentials
    name: str
    time_to_live: int | None
    origin: Origin


async def log_in(services: Services, login: Login) -> IssuedToken:
    """A new token, durable before this returns, while the organization has fewer than its limit.

    At the limit the organization's policy decides: refuse, or end a token to make place. What was
    ended is accepted nowhere any more when this returns.

    Raises CredentialsRejected, Throttled, TokenLimitReached, InvalidValue('time_to_live'), Overloaded or
    StoreUnavailable; after the last, the token may exist, but nobody has it. A login is recorded
    with its token, a refusal is noted.
    """
    credentials = login.credentials
    with noting_refusals(services, credentials.username, credentials.organization_id, login.origin):
        shown = await check_password(services, credentials)
        try:
            issued = await _issue(services, login, shown)
        except (InvalidValue, Throttled, TokenLimitReached):
            # The password was right all the same, and whoever asks again for it is not guessing.
            await note_success_alone(services, shown)
            raise
    await wait_noted(services, shown)
    return issued


async def _issue(services: Services, login: Login, shown: PasswordShown) -> IssuedToken:
    candidate = shown.candidate
    new = NewToken(
        generate_token(),
        login.name,
        login.origin.user_agent,
        allowed_time_to_live(login.time_to_live, candidate),
    )
    new_hash = await _rehash(services, login.credentials, candidate)

    async def store(connection: Connection, replaced: list[EndedToken]) -> IssuedToken:
        stored = await _store(services, connection, shown, new, new_hash)
        await insert_event(connection, _event(candidate, new, login.origin, replaced))
        return IssuedToken(new.token, stored.expiry, tuple(replaced))

    return await issue_token(services, candidate, store)


def _event(candidate: LoginCandidate, new: NewToken, origin: Origin, replaced: list[EndedToken]) -> Event:
    return Event(
        EventKind.LOGIN,
        Actor(ActorKind.USER, candidate.user_id, candidate.email, None, origin),
        candidate.organization_id,
        candidate.user_id,
        candidate.email,
        new.token.id,
        {"replaced_tokens": [token.id for token in replaced]} if replaced else {},
    )


async def _store(
    services: Services, connection: Connection, shown: PasswordShown, new: NewToken, new_hash: str | None
) -> StoredToken:
    candidate, logins = shown.candidate, services.throttle.logins
    stored = await insert_token(connection, candidate, new)
    if stored is None:
        # Disabled, removed, closed or given another password while the hash was computed.
        raise CredentialsRejected("changed during login")
    if new_hash is not None:
        await store_rehash(connection, candidate.user_id, new_hash)
    if logins is not None and (wait := await judge(connection, shown.attempt.logins, logins)):
        raise Throttled(wait, "successful logins")
    await note_success(services, connection, shown)
    return stored


async def _rehash(services: Services, credentials: Credentials, candidate: LoginCandidate) -> str | None:
    if not services.passwords.needs_rehash(candidate.password_hash, credentials.password):
        return None
    return await services.passwords.hash(credentials.password)
