"""The one source of elapsed time. Stored times come from the database, never from here."""

import time
from typing import Protocol


class Clock(Protocol):
    """Elapsed time that goes on while the machine sleeps; its origin means nothing."""

    def elapsed_seconds(self) -> float:
        """Seconds since some fixed moment of this machine's boot; never goes back."""
        ...


class BootClock:
    """Linux's CLOCK_BOOTTIME: unlike CLOCK_MONOTONIC it counts suspended time too."""

    def elapsed_seconds(self) -> float:
        """Seconds since boot."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)
