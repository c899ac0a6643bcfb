"""Time, as an object that is handed in."""

import time
from typing import Protocol

import anyio


class Clock(Protocol):
    """Where the time comes from, and how it is waited for; seconds everywhere."""

    def wall(self) -> float:
        """Seconds since 1970: what processes that share a token have in common."""

    def monotonic(self) -> float:
        """Seconds of a clock that is never set: for spans."""

    def sleep(self, seconds: float) -> None:
        """Wait, as retries do between two tries; tests give them a clock that moves by itself."""

    async def sleep_async(self, seconds: float) -> None:
        """Wait without holding up the event loop."""


class SystemClock:
    """The machine's clocks."""

    def wall(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait, as retries do between two tries; tests give them a clock that moves by itself."""
        time.sleep(seconds)

    async def sleep_async(self, seconds: float) -> None:
        """Wait, on asyncio and trio alike."""
        await anyio.sleep(seconds)
