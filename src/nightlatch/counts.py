"""What a process has counted since it started: plain numbers, added to in place.

Counting takes no lock and calls nobody; a server hands the numbers on once a second (`metrics.py`), and
where nobody does, as in a command, they are forgotten with the process.
"""

from bisect import bisect_left
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

REQUEST_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
WAIT_SECONDS: Final = (0.001, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 1, 2, 5, 12)
"""How finely durations are told apart: those of requests, and waits for revocations to be in force."""


class Durations:
    """How many durations there were of each length, and the sum of all in seconds.

    `counts` has a place for those of at most each bound, and more than the bound before it, and one more
    for those beyond all bounds.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds: Final = bounds
        self.counts: Final = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds


class Counts:
    """Numbers that only grow, and durations since they were taken last."""

    __slots__ = ("_requests", "_revocation_waits", "database_errors", "logins", "verdicts")

    def __init__(self) -> None:
        self.verdicts: Final = [0] * len(VERDICTS)
        self.logins: Final[Counter[str]] = Counter()
        """By outcome: `accepted`, or the code of the error."""
        self.database_errors: Final[Counter[str]] = Counter()
        """By what was asked: `read`, `write` or `feed`."""
        self._revocation_waits = Durations(WAIT_SECONDS)
        self._requests: dict[tuple[str, int], Durations] = {}

    def revocation(self, seconds: float) -> None:
        """Tokens were ended, and that was in force so long after its commit."""
        self._revocation_waits.add(seconds)

    def request(self, route: str, status: int, seconds: float) -> None:
        """A request was answered."""
        key = (route, status // 100)
        durations = self._requests.get(key)
        if durations is None:
            durations = self._requests[key] = Durations(REQUEST_SECONDS)
        durations.add(seconds)

    def take_revocation_waits(self) -> Durations:
        """Those since the last call."""
        taken, self._revocation_waits = self._revocation_waits, Durations(WAIT_SECONDS)
        return taken

    def take_requests(self) -> dict[tuple[str, int], Durations]:
        """Those since the last call, by route and class of the status: 2 for 200 to 299."""
        taken, self._requests = self._requests, {}
        return taken
