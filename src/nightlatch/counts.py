"""What a process has counted since it started: plain numbers, added to in place.

Counting takes no lock and calls nobody; a server hands the numbers on once a second (`metrics.py`), and
where nobody does, as in a command, they are forgotten with the process.
"""

from collections import Counter
from typing import Final

# Where each verdict on a forwarded request is counted: one addition to one cell of a list.
ACCEPTED: Final = 0
ACCEPTED_READ: Final = 1
REFUSED_ABSENT: Final = 2
REFUSED_MALFORMED: Final = 3
REFUSED_INVALID: Final = 4
REFUSED_INVALID_READ: Final = 5
REFUSED_ORGANIZATION: Final = 6
"""Plus ACCEPTED or ACCEPTED_READ: the token is live."""
UNAVAILABLE: Final = 8
REFUSED_SCOPE: Final = 9
"""The same of a child token."""

VERDICTS: Final = (
    ("accepted", "live", "memory"),
    ("accepted", "live", "database"),
    ("refused", "no_token", "memory"),
    ("refused", "malformed", "memory"),
    ("refused", "not_live", "memory"),
    ("refused", "not_live", "database"),
    ("refused", "other_organization", "memory"),
    ("refused", "other_organization", "database"),
    ("unavailable", "unknown", "database"),
    ("refused", "out_of_scope", "memory"),
    ("refused", "out_of_scope", "database"),
)
"""For each cell the verdict, its reason, and who knew it."""

WAITS_MAX: Final = 100_000
"""Durations that are kept until somebody takes them: where nobody does, memory stays bounded."""


class Counts:
    """Numbers that only grow, and durations in seconds since they were taken last."""

    __slots__ = ("database_errors", "logins", "requests", "revocation_waits", "verdicts")

    def __init__(self) -> None:
        self.verdicts: Final = [0] * len(VERDICTS)
        self.logins: Final[Counter[str]] = Counter()
        """By outcome: `accepted`, or the code of the error."""
        self.database_errors: Final[Counter[str]] = Counter()
        """By what was asked: `read`, `write` or `feed`."""
        self.revocation_waits: list[float] = []
        self.requests: list[tuple[str, str, float]] = []
        """Route, class of the status (2xx), seconds."""

    def revocation(self, seconds: float) -> None:
        """Tokens were ended, and that was in force so long after its commit."""
        if len(self.revocation_waits) < WAITS_MAX:
            self.revocation_waits.append(seconds)

    def request(self, route: str, status: int, seconds: float) -> None:
        """A request was answered."""
        if len(self.requests) < WAITS_MAX:
            self.requests.append((route, f"{status // 100}xx", seconds))

    def take_revocation_waits(self) -> list[float]:
        """Those since the last call."""
        taken, self.revocation_waits = self.revocation_waits, []
        return taken

    def take_requests(self) -> list[tuple[str, str, float]]:
        """Those since the last call."""
        taken, self.requests = self.requests, []
        return taken
