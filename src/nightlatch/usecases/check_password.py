"""Establish who somebody is by username, password and organization id."""

from dataclasses import dataclass, field

from nightlatch.guard.passwords import is_too_long
from nightlatch.model.attempt import Attempt, client_network
from nightlatch.model.errors import CredentialsRejected
from nightlatch.model.names import EMAIL_CHARACTERS_MAX, Email, OrganizationId, normalize_email
from nightlatch.store.known_addresses import is_known_to_anybody
from nightlatch.store.logins import Counted, LoginCandidate, find_candidate
from nightlatch.usecases.count_attempt import counted_attempt
from nightlatch.usecases.remember_used_up import refuse_from_memory
from nightlatch.usecases.services import Services


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a person claims, and the address it is claimed from; the password shows in no repr."""

    username: str
    password: str = field(repr=False)
    organization_id: str
    address: str


@dataclass(frozen=True, slots=True)
class PasswordShown:
    """Whose password it was, the attempt at which it was right, and what had been counted before it."""

    candidate: LoginCandidate
    attempt: Attempt
    counted: Counted


async def check_password(services: Services, credentials: Credentials) -> PasswordShown:
    """Whom the credentials name.

    Unknown user, unknown organization, no member, disabled user and wrong password cost the same
    real hash and raise the same error (OWASP Authentication Cheat Sheet); its private detail
    says which it was. It was true before the hash, and of what may be no primary any more: the caller
    asks again. A password of more than 1,024 bytes is refused unhashed and uncounted.

    The attempt is counted, and stays so until the caller notes the success. Raises CredentialsRejected,
    Throttled (before the hash, alike whether or not there is such an account), Overloaded or
    StoreUnavailable.
    """
    if is_too_long(credentials.password):
        raise CredentialsRejected("password too long")
    attempt = _attempt(credentials)
    refuse_from_memory(services, attempt)
    if services.passwords.is_full:
        await _turn_strangers_away(services, attempt)
    async with services.store.read() as connection:
        found = await find_candidate(connection, attempt)
    async with counted_attempt(services, attempt, found.counted) as begin:
        password_hash = found.password_hash
        # Whoever guesses from everywhere fills the queue, and not that of people at home.
        preferred = found.counted.is_known
        if not await services.passwords.matches(credentials.password, password_hash, begin, preferred):
            raise CredentialsRejected("no such member" if password_hash is None else "wrong password")
        candidate = found.candidate()
        if candidate is None or not candidate.active:
            raise CredentialsRejected("user disabled or organization closed")
    return PasswordShown(candidate, attempt, found.counted)


async def _turn_strangers_away(services: Services, attempt: Attempt) -> None:
    # Where nobody has logged in from nobody is preferred, whoever they claim to be. To find that out costs
    # a part of what it costs to find out about the claim.
    async with services.store.read() as connection:
        if await is_known_to_anybody(connection, attempt.network):
            return
    services.passwords.turn_away_if_full()


def _attempt(credentials: Credentials) -> Attempt:
    username, organization_id = credentials.username, credentials.organization_id
    network = client_network(credentials.address)
    # A NUL no database text holds, and PostgreSQL would refuse the query; to normalize a long text can
    # take a second. All that can be nobody's name counts as one account, which nobody has.
    if "\x00" in username + organization_id or len(username) > EMAIL_CHARACTERS_MAX:
        return Attempt(Email(""), OrganizationId(""), network)
    return Attempt(normalize_email(username), OrganizationId(organization_id), network)
