"""A request that is not let through, and how it is answered: as Nightlatch itself answers."""

import json
from typing import Final

from nightlatch.model.errors import (
    Forbidden,
    NightlatchError,
    Refused,
    TokenRejected,
    Unavailable,
    VerdictUnknown,
)

NO_CREDENTIALS: Final = "Authentication credentials were not provided."
INVALID_TOKEN: Final = TokenRejected().public
FORBIDDEN: Final = Forbidden().public
UNKNOWN: Final = VerdictUnknown("").public


class Refusal(Exception):
    """Answer with this status, and the sentence as `detail`.

    401: no live token. 403: a live token, and not for this. 503: it cannot be known at the moment;
    `retry_after` is in whole seconds.
    """

    def __init__(self, status: int, sentence: str, retry_after: int = 1) -> None:
        super().__init__(status, sentence)
        self.status = status
        self.sentence = sentence
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        """What the status asks for (RFC 9110 §11.6.1, §10.2.3); and the answer is not to be stored."""
        headers = {"Cache-Control": "no-store"}
        if self.status == 401:
            headers["WWW-Authenticate"] = "Token"
        if self.status == 503:
            headers["Retry-After"] = str(self.retry_after)
        return headers

    @property
    def body(self) -> bytes:
        """JSON."""
        return json.dumps({"detail": self.sentence}).encode("ascii")


def no_credentials() -> Refusal:
    """There is no Authorization header, or one of another scheme."""
    return Refusal(401, NO_CREDENTIALS)


def wrong_organization() -> Refusal:
    """The token is another organization's."""
    return Refusal(403, FORBIDDEN)


def unknown() -> Refusal:
    """It cannot be known at the moment."""
    return Refusal(503, UNKNOWN)


def refusal_of(error: NightlatchError) -> Refusal:
    """What a verifier's error is answered with; what is not known here is refused too."""
    if isinstance(error, TokenRejected):
        return Refusal(401, error.public)
    if isinstance(error, Refused):
        return Refusal(403, error.public)
    if isinstance(error, Unavailable):
        return Refusal(503, error.public, error.retry_after)
    return unknown()
