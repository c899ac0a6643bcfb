"""A rate: how often something may happen, at once and then in time.

It is kept by the generic cell rate algorithm (ITU-T I.371): a token bucket of which only one moment has to
be stored, `free_at`, when all that was let through will have been made up for. If that is past, the bucket
is full. One more is let through while it lies no more than `tolerance` ahead, and moves it by `interval`,
counted from now at the earliest.
"""

import re
from dataclasses import dataclass
from typing import Final

from nightlatch.model.times import UNIT_SECONDS

BURST_MAX: Final = 1_000_000
SECONDS_MAX: Final = 86_400
CLOCK_STEP_SECONDS: Final = 1.0
"""Clocks that are kept right go back by less."""
_RATE: Final = re.compile(r"([0-9]{1,7}) per ([0-9]{1,6})([smhd])")
_EXPECTED: Final = (
    f"expected a number and a time such as '10 per 30m': 1 to {BURST_MAX:,} at once, and as many again in "
    "that time, one after the other; the time is 1 second to 1 day, in s, m, h or d"
)


@dataclass(frozen=True, slots=True)
class Rate:
    """So many at once, and as many again in so many seconds, one after the other."""

    burst: int
    seconds: int

    @property
    def interval(self) -> float:
        """Seconds in which one more becomes possible."""
        return self.seconds / self.burst

    @property
    def tolerance(self) -> float:
        """How many seconds `free_at` may lie ahead for one more to be let through."""
        return self.seconds - self.interval

    @property
    def ahead_max(self) -> float:
        """How many seconds ahead counting moves `free_at` at most, failures beyond the rate included."""
        return 2.0 * self.seconds

    @property
    def ahead_believed_max(self) -> float:
        """What lies farther ahead, no counting has moved there."""
        return self.ahead_max + CLOCK_STEP_SECONDS

    def wait_seconds(self, ahead: float) -> float:
        """Seconds until one more is let through, 0 if it is now; `ahead`: how far free_at lies ahead."""
        return max(0.0, self.bounded(ahead) - self.tolerance)

    def bounded(self, ahead: float) -> float:
        """As far ahead as counting leads; farther only a clock that was set back, or another rate before."""
        return 0.0 if ahead > self.ahead_believed_max else ahead

    def left(self, ahead: float) -> int:
        """How many more are let through now."""
        if self.wait_seconds(ahead) > 0:
            return 0
        # At least the one that is let through, whatever the rounding.
        return max(1, int(self.burst - max(0.0, self.bounded(ahead)) / self.interval))

    def __str__(self) -> str:
        unit = next(name for name, length in UNIT_SECONDS.items() if self.seconds % length == 0)
        return f"{self.burst} per {self.seconds // UNIT_SECONDS[unit]}{unit}"


def parse_rate(text: str) -> Rate:
    """The rate that is written as `10 per 30m`; raises ValueError, which says what is expected."""
    match = _RATE.fullmatch(text.strip())
    if match is not None:
        burst, seconds = int(match[1]), int(match[2]) * UNIT_SECONDS[match[3]]
        if 1 <= burst <= BURST_MAX and 1 <= seconds <= SECONDS_MAX:
            return Rate(burst, seconds)
    raise ValueError(_EXPECTED)
