"""The one source of time that passes. Stored times come from the database, never from here."""

import time
from functools import partial
from typing import Protocol


class Clock(Protocol):
    """The two times that a process can read by itself, in seconds."""

    def elapsed_seconds(self) -> float:
        """Seconds since some fixed moment of this machine's boot, sleep included; never goes back."""
        ...

    def wall_seconds(self) -> float:
        """Seconds since 1970 by this machine's clock, which an SQLite file is judged by too."""
        ...


class SystemClock:
    """Linux's CLOCK_BOOTTIME, which unlike CLOCK_MONOTONIC counts suspended time, and CLOCK_REALTIME."""

    # Without a function of ours around them: they are read for each request.
    elapsed_seconds = staticmethod(partial(time.clock_gettime, time.CLOCK_BOOTTIME))
    wall_seconds = staticmethod(time.time)
