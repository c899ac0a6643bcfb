"""What is measured in a process: how often memory may answer, and how long reads and commits take.

Times are milliseconds.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from nightlatch.app import opened_engines
from nightlatch.hot.currency import Currency
from nightlatch.settings import Settings
from nightlatch.store.engine import Engines

PROBES_PER_SECOND: Final = 25
_ROUND_TRIP: Final = "SELECT 1"
_COMMIT: Final = "SELECT pg_logical_emit_message(true, 'bench', '')"


@dataclass(frozen=True, slots=True)
class Held:
    """How often it was looked whether memory may answer, how often it might, and the reads meanwhile."""

    looks: int
    held: int
    reads: list[float]


@dataclass(frozen=True, slots=True)
class Probed:
    """Round trips, and commits that wait for what commits wait for, with their round trip."""

    round_trips: list[float]
    commits: list[float]


@asynccontextmanager
async def timed_engines(settings: Settings) -> AsyncIterator[tuple[Engines, list[float]]]:
    """Engines, and how long each statement takes on connections beside their pools: the reads of the feed."""
    async with opened_engines(settings) as engines:
        reads: list[float] = []

        async def connect() -> Any:
            connection: Any = await engines.connect()
            connection.fetch = _timed(connection.fetch, reads)
            return connection

        yield replace(engines, connect=connect), reads


def _timed(fetch: Callable[..., Awaitable[Any]], durations: list[float]) -> Callable[..., Awaitable[Any]]:
    async def timed(*arguments: Any) -> Any:
        begin = time.perf_counter()
        try:
            return await fetch(*arguments)
        finally:
            durations.append((time.perf_counter() - begin) * 1000)

    return timed


async def look(currency: Currency, reads: list[float], every: float, seconds: float) -> Held:
    """Look about every so many seconds, for so long, as a request does that comes at any time."""
    first = len(reads)
    looks = held = 0
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        await asyncio.sleep(every * random.uniform(0.5, 1.5))
        looks += 1
        held += currency.database_seconds_nowait() is not None
    return Held(looks, held, reads[first:])


async def probe(connection: Any, seconds: float) -> Probed:
    """Round trips and commits in turn, for so long."""
    probed = Probed([], [])
    fetch_one = _timed(connection.fetch, probed.round_trips)
    commit_one = _timed(connection.fetch, probed.commits)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        await fetch_one(_ROUND_TRIP)
        await commit_one(_COMMIT)
        await asyncio.sleep(1 / PROBES_PER_SECOND)
    return probed
