"""Establish who somebody is by username, password and organization id."""

from dataclasses import dataclass, field

from nightlatch.guard.passwords import is_too_long
from nightlatch.model.errors import CredentialsRejected
from nightlatch.model.names import EMAIL_CHARACTERS_MAX, OrganizationId, normalize_email
from nightlatch.model.standing import Identity
from nightlatch.store.logins import FoundCandidate, LoginCandidate, find_candidate
from nightlatch.store.pulse import confirm_primary
from nightlatch.usecases.services import Services


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a person claims; the password shows in no repr."""

    username: str
    password: str = field(repr=False)
    organization_id: str


async def check_password(
    services: Services, credentials: Credentials, confirmed: bool = False
) -> LoginCandidate:
    """Whom the credentials name; raises CredentialsRejected, Overloaded or StoreUnavailable.

    Unknown user, unknown organization, no member, disabled user and wrong password cost the same
    real hash and raise the same error (OWASP Authentication Cheat Sheet); its private detail
    says which it was. With `confirmed` the database was still the primary when it said so: for those
    whom no transaction asks again. A password of more than 1,024 bytes is refused unhashed.
    """
    if is_too_long(credentials.password):
        raise CredentialsRejected("password too long")
    found = await _find(services, credentials, confirmed)
    password_hash = None if found is None else found.password_hash
    if not await services.passwords.matches(credentials.password, password_hash):
        raise CredentialsRejected("no such member" if password_hash is None else "wrong password")
    candidate = None if found is None else found.candidate()
    if candidate is None or not candidate.active:
        raise CredentialsRejected("user disabled or organization closed")
    return candidate


async def _find(services: Services, credentials: Credentials, confirmed: bool) -> FoundCandidate | None:
    if "\x00" in credentials.username + credentials.organization_id:
        return None  # no database text holds it, and PostgreSQL would refuse the query
    if len(credentials.username) > EMAIL_CHARACTERS_MAX:
        return None  # nobody's, and normalizing a long text can take a second
    async with services.store.read() as connection:
        found = await find_candidate(
            connection,
            normalize_email(credentials.username),
            OrganizationId(credentials.organization_id),
        )
        if confirmed:
            await confirm_primary(connection)
        return found


async def identify(services: Services, credentials: Credentials) -> Identity:
    """The identity behind the credentials; raises as `check_password` does."""
    candidate = await check_password(services, credentials, confirmed=True)
    return Identity(candidate.organization_id, candidate.user_id, candidate.email, candidate.role)
