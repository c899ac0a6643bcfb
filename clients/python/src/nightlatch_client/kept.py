"""What is kept of a login."""

import json
from dataclasses import dataclass, field
from typing import Any, Final

RENEWAL_PART: Final = 0.1
"""A token is renewed in the last tenth of its life,"""
RENEWAL_SECONDS_MAX: Final = 24 * 3600.0
"""but not earlier than a day ahead."""
_EXPIRED_AHEAD_PART: Final = 0.01
_EXPIRED_AHEAD_SECONDS_MAX: Final = 5.0
"""So long before its end it is not used any more: a request takes time to arrive."""


@dataclass(frozen=True, slots=True)
class KeptToken:
    """A token, and when it was had and ends, by this machine's clock; `expires` None: never.

    `refused_at`: a new token that was refused all the same; what refuses it may not be about tokens at all.
    `short_lived`: how many in a row before this one were refused soon after they were made.
    """

    token: str = field(repr=False)
    obtained: float
    expires: float | None
    refused_at: float | None = None
    short_lived: int = 0

    @property
    def renew_at(self) -> float:
        """From when on a new one is fetched ahead."""
        return self._before(RENEWAL_PART, RENEWAL_SECONDS_MAX)

    @property
    def unusable_at(self) -> float:
        """From when on it is not used."""
        return self._before(_EXPIRED_AHEAD_PART, _EXPIRED_AHEAD_SECONDS_MAX)

    def _before(self, part: float, seconds_max: float) -> float:
        if self.expires is None:
            return float("inf")
        return self.expires - min((self.expires - self.obtained) * part, seconds_max)


@dataclass(frozen=True, slots=True)
class Failure:
    """A login that failed, for those who were waiting for it: they must not all fail on their own.

    `ahead`: it was a renewal, which nobody was waiting for.
    """

    at: float
    code: str
    message: str
    retry_after: float | None
    ahead: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """What a cache keeps under one key."""

    token: KeptToken | None = None
    failure: Failure | None = None

    def to_text(self) -> str:
        """The entry as JSON. It holds the token in clear."""
        token, failure = self.token, self.failure
        document: dict[str, Any] = {"version": 1}
        if token is not None:
            document["token"] = {
                "token": token.token,
                "obtained": token.obtained,
                "expires": token.expires,
                "refused_at": token.refused_at,
                "short_lived": token.short_lived,
            }
        if failure is not None:
            document["failure"] = {
                "at": failure.at,
                "code": failure.code,
                "message": failure.message,
                "retry_after": failure.retry_after,
                "ahead": failure.ahead,
            }
        return json.dumps(document)


NOTHING: Final = Entry()


def parse_entry(text: str) -> Entry:
    """The entry in a text; NOTHING if it is none, as after a crash or of another version."""
    try:
        document = json.loads(text)
        token, failure = document.get("token"), document.get("failure")
        return Entry(
            None if token is None else _token(**token), None if failure is None else Failure(**failure)
        )
    except (ValueError, TypeError, AttributeError):
        return NOTHING


def _token(
    token: object, obtained: object, expires: object, refused_at: object, short_lived: object = 0
) -> KeptToken:
    numbers = [value for value in (obtained, expires, refused_at, short_lived) if value is not None]
    if not isinstance(token, str) or not token or not all(isinstance(one, int | float) for one in numbers):
        raise ValueError
    return KeptToken(token, obtained, expires, refused_at, short_lived)  # type: ignore[arg-type]
