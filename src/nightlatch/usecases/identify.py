"""Identify somebody by their password alone, without a login."""

from nightlatch.model.origin import Origin
from nightlatch.model.standing import Identity
from nightlatch.usecases.check_password import Credentials, check_password
from nightlatch.usecases.note_success import note_success_alone
from nightlatch.usecases.refuse_login import noting_refusals
from nightlatch.usecases.services import Services


async def identify(services: Services, credentials: Credentials, origin: Origin) -> Identity:
    """The identity behind the credentials; raises as `check_password` does, and notes a refusal."""
    with noting_refusals(services, credentials.username, credentials.organization_id, origin):
        shown = await check_password(services, credentials, confirmed=True)
    await note_success_alone(services, shown)
    candidate = shown.candidate
    return Identity(candidate.organization_id, candidate.user_id, candidate.email, candidate.role)
