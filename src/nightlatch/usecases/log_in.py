"""Log in: a password for a token."""

from dataclasses import dataclass

from nightlatch.model.errors import CredentialsRejected, InvalidValue, TokenLimitReached
from nightlatch.model.records import TIME_TO_LIVE_SECONDS_MAX, IssuedToken
from nightlatch.model.token import generate_token
from nightlatch.store.logins import LoginCandidate, NewToken, insert_token
from nightlatch.store.users import store_rehash
from nightlatch.usecases.check_password import Credentials, check_password
from nightlatch.usecases.services import Services


@dataclass(frozen=True, slots=True)
class Login:
    """A login as it was asked for; `time_to_live` in seconds, None for the organization's."""

    credentials: Credentials
    name: str
    time_to_live: int | None
    user_agent: str


async def log_in(services: Services, login: Login) -> IssuedToken:
    """A new token, durable before this returns, while the organization has fewer than its limit.

    Raises CredentialsRejected, TokenLimitReached, InvalidValue('time_to_live'), Overloaded or
    StoreUnavailable; after the last, the token may exist, but nobody has it.
    """
    candidate = await check_password(services, login.credentials)
    new = NewToken(
        generate_token(),
        login.name,
        login.user_agent,
        _time_to_live(login.time_to_live, candidate.time_to_live),
    )
    if candidate.live_tokens >= candidate.token_limit:
        # Full when it was looked at: the insert, which alone decides, need not be tried.
        raise TokenLimitReached(candidate.organization_id)
    new_hash = await _rehash(services, login.credentials, candidate)
    async with services.store.write() as connection:
        stored = await insert_token(connection, candidate, new)
        if stored is None:
            # Disabled, removed, closed or given another password while the hash was computed.
            raise CredentialsRejected("changed during login")
        if new_hash is not None:
            await store_rehash(connection, candidate.user_id, new_hash)
    return IssuedToken(new.token, stored.expiry)


async def _rehash(services: Services, credentials: Credentials, candidate: LoginCandidate) -> str | None:
    if not services.passwords.needs_rehash(candidate.password_hash):
        return None
    return await services.passwords.hash(credentials.password)


def _time_to_live(asked: int | None, allowed: int | None) -> int | None:
    """Told only to people whose password was right, or it would tell which organizations exist."""
    if asked is None:
        return allowed
    most = TIME_TO_LIVE_SECONDS_MAX if allowed is None else allowed
    if asked > most:
        raise InvalidValue("time_to_live", f"Ensure this value is less than or equal to {most}.")
    return asked
