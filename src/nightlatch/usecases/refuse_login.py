"""Note that a login was refused, for the audit log."""

from collections.abc import Iterator
from contextlib import contextmanager

from nightlatch.model.attempt import client_network
from nightlatch.model.errors import CredentialsRejected, Throttled, TokenLimitReached
from nightlatch.model.event import EventKind
from nightlatch.model.names import EMAIL_CHARACTERS_MAX, is_organization_id, normalize_email
from nightlatch.model.origin import Origin
from nightlatch.model.refusal import Refusal
from nightlatch.usecases.services import Services


@contextmanager
def noting_refusals(
    services: Services, username: str, organization_id: str, origin: Origin
) -> Iterator[None]:
    """Note a login, or HTTP Basic, that the block refuses."""
    try:
        yield
    except CredentialsRejected as refusal:
        reason = refusal.detail
        note_refusal(services, EventKind.LOGIN_REFUSED, reason, username, organization_id, origin)
        raise
    except Throttled as refusal:
        note_refusal(services, EventKind.THROTTLED, refusal.detail, username, organization_id, origin)
        raise
    except TokenLimitReached:
        note_refusal(services, EventKind.LIMIT_REACHED, "token limit", username, organization_id, origin)
        raise


def note_refusal(
    services: Services, kind: EventKind, reason: str, username: str, organization_id: str, origin: Origin
) -> None:
    """Count it in memory: within a second or two it is an event, or a part of one.

    `kind` is LOGIN_REFUSED, LIMIT_REACHED or THROTTLED, `reason` one of a few words of our own. It
    takes no time that depends on who or what exists.
    """
    services.refusals.note(
        Refusal(
            kind,
            reason,
            _username(username),
            organization_id if is_organization_id(organization_id) else None,
            client_network(origin.address),
        ),
        origin,
    )


def _username(text: str) -> str | None:
    """As users are looked up; None for what cannot be anybody's, or would take long to normalize."""
    if len(text) > EMAIL_CHARACTERS_MAX or "\x00" in text:
        return None
    return normalize_email(text)
