"""How long a lease has to be: by searching for it, and by the rule that needs only what a server sees."""

from collections.abc import Callable
from typing import Final

from bench.lease.simulation import Outcome

SHARE: Final = 0.999
STEP: Final = 1.05
LEASE_MAX: Final = 4000.0
READS_LONGEST: Final = 2
"""Of the longest reads so many fit into the lease."""
READS_SEEN: Final = 1000
"""Recent reads to judge by."""


def shortest_lease(simulated: Callable[[float], Outcome]) -> float | None:
    """The shortest lease, in milliseconds and to 5 %, that is held SHARE of the time; None: above LEASE_MAX.

    `simulated` is what comes of a lease.
    """
    low, high = 0, 1
    while STEP**high < LEASE_MAX:
        high += 1
    if simulated(STEP**high).share < SHARE:
        return None
    while low < high:
        middle = (low + high) // 2
        if simulated(STEP**middle).share >= SHARE:
            high = middle
        else:
            low = middle + 1
    return STEP**high


def lease_needed(read: float) -> float:
    """The lease for reads of which one in READS_SEEN exceeds so many milliseconds.

    Why twice: no lease lapses while no read takes longer than half of it. The next read begins within half
    a lease of the one before (when that has ended, or when it is due), and ends within another half. What
    the few longer reads cost is less than the tolerated 1 - SHARE, in all that is simulated.
    """
    return READS_LONGEST * read
