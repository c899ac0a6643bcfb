"""A clock that is set by hand."""

import threading
import time

import anyio
import anyio.lowlevel


class ManualClock:
    """Stands still until it is moved; who sleeps moves it, and does not wait.

    `slept` lists what was slept, in seconds.
    """

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self._now = now
        self._mutex = threading.Lock()
        self.slept: list[float] = []

    def advance(self, seconds: float) -> None:
        """Move it ahead."""
        with self._mutex:
            self._now += seconds

    def wall(self) -> float:
        """Seconds since 1970."""
        return self._now

    def monotonic(self) -> float:
        """The same."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Move it ahead, and let other threads run."""
        self.slept.append(seconds)
        self.advance(seconds)
        time.sleep(0)  # waits for nothing: lets another thread have its turn

    async def sleep_async(self, seconds: float) -> None:
        """Move it ahead, and let other tasks run."""
        self.slept.append(seconds)
        self.advance(seconds)
        await anyio.lowlevel.checkpoint()
