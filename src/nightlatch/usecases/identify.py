"""Identify somebody by their password alone, without a login."""

from nightlatch.model.errors import CredentialsRejected
from nightlatch.model.origin import Origin
from nightlatch.model.standing import Identity
from nightlatch.store.logins import find_candidate
from nightlatch.store.pulse import confirm_primary
from nightlatch.usecases.check_password import Credentials, PasswordShown, check_password
from nightlatch.usecases.note_success import note_success_alone
from nightlatch.usecases.refuse_login import noting_refusals
from nightlatch.usecases.services import Services


async def identify(services: Services, credentials: Credentials, origin: Origin) -> Identity:
    """The identity behind the credentials, true after the hash and on the primary.

    Raises as `check_password` does, and notes a refusal.
    """
    with noting_refusals(services, credentials.username, credentials.organization_id, origin):
        shown = await check_password(services, credentials)
        await _confirm(services, shown)
    await note_success_alone(services, shown)
    candidate = shown.candidate
    return Identity(candidate.organization_id, candidate.user_id, candidate.email, candidate.role)


async def _confirm(services: Services, shown: PasswordShown) -> None:
    """Raise CredentialsRejected for somebody who has been shut out since, StoreUnavailable for no primary."""
    async with services.store.read() as connection:
        found = await find_candidate(connection, shown.attempt)
        await confirm_primary(connection)
    candidate = found.candidate()
    if (
        candidate is None
        or not candidate.active
        or (candidate.role, candidate.password_version)
        != (shown.candidate.role, shown.candidate.password_version)
    ):
        raise CredentialsRejected("changed meanwhile")
