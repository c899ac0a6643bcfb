"""Whether the lease is long enough for how long reads of the change feed take here.

While no read takes longer than half a lease, from when it was due, the lease never lapses: the next read
begins within the first half and ends within the second. A simulation (bench/lease) says that a process
whose reads exceed that once in 1,000 holds its lease 99.9 % of the time.
"""

from typing import Final

READS: Final = 1_000


class ReadTimes:
    """Counts slow reads, in rounds of so many; to be told of each."""

    def __init__(self) -> None:
        self._reads = 0
        self._slowest = 0.0
        self._told = False

    def lease_needed(self, read_seconds: float, lease_seconds: float) -> float | None:
        """The lease, in seconds, that would fit, if this read shows that the one in force does not.

        At most once in a round: on the second read that was too slow for it.
        """
        if self._reads == READS:
            self._reads, self._slowest, self._told = 0, 0.0, False
        self._reads += 1
        if read_seconds * 2 <= lease_seconds or self._told:
            return None
        before, self._slowest = self._slowest, max(self._slowest, read_seconds)
        if before == 0.0:
            return None
        self._told = True
        return 2 * self._slowest
