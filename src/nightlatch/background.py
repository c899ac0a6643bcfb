"""What a process does beside answering: keeping memory current, flushing uses; a server does more."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import structlog

from nightlatch.hot.currency import Currency
from nightlatch.metrics import FLUSH_SECONDS, Metrics
from nightlatch.model.errors import StoreUnavailable
from nightlatch.model.event import Retention
from nightlatch.store.checkpoint import keep_checkpointing
from nightlatch.store.engine import Engines
from nightlatch.store.sqlite_file import SqliteWriter
from nightlatch.usecases.flush_refusals import flush_refusals
from nightlatch.usecases.flush_uses import flush_uses
from nightlatch.usecases.prune import prune_events, prune_expired, prune_throttle
from nightlatch.usecases.services import Services

PRUNE_SECONDS = 3600.0
PRUNE_THROTTLE_SECONDS = 60.0
REFUSAL_FLUSH_SECONDS = 1.0
RESTART_SECONDS = 0.5

_log = structlog.get_logger("nightlatch")
_random = secrets.SystemRandom()


@asynccontextmanager
async def running_background(
    services: Services, engines: Engines, flush_seconds: float, retention: Retention
) -> AsyncIterator[None]:
    """Run a server's periodic work until the block ends, then flush once more."""
    works = [
        _repeat(PRUNE_SECONDS, lambda: prune_expired(services)),
        _repeat(PRUNE_SECONDS, lambda: prune_events(services, retention)),
        _repeat(PRUNE_THROTTLE_SECONDS, lambda: prune_throttle(services)),
        _repeat(REFUSAL_FLUSH_SECONDS, lambda: flush_refusals(services)),
    ]
    if engines.sqlite_file is not None and isinstance(engines.writing, SqliteWriter):
        works.append(keep_checkpointing(engines.writing, engines.sqlite_file))
    async with (
        running_memory(services.currency, lambda: flush_uses(services), flush_seconds),
        _running(*works),
    ):
        try:
            yield
        finally:
            await _attempt(lambda: flush_refusals(services))


@asynccontextmanager
async def running_memory(
    currency: Currency, flush: Callable[[], Awaitable[object]], flush_seconds: float
) -> AsyncIterator[None]:
    """Keep memory current and flush uses until the block ends, then flush once more.

    When the block begins, `currency.wait_current` may be called.
    """
    try:
        async with _running(_keep(currency), _repeat(flush_seconds, flush)):
            await asyncio.sleep(0)  # both have begun then
            yield
    finally:
        await _attempt(flush)


@asynccontextmanager
async def running_metrics(metrics: Metrics) -> AsyncIterator[None]:
    """Hand on once a second what is counted, until the block ends, then once more."""

    async def flush() -> None:
        metrics.flush()

    try:
        async with _running(_repeat(FLUSH_SECONDS, flush)):
            yield
    finally:
        await _attempt(flush)


@asynccontextmanager
async def _running(*works: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _keep(currency: Currency) -> None:
    # It ends by an error only: then it begins again, or nothing would ever be accepted from memory.
    while True:
        await _attempt(currency.keep)
        await asyncio.sleep(RESTART_SECONDS)


async def _repeat(seconds: float, work: Callable[[], Awaitable[object]]) -> None:
    while True:
        # Processes that were started together do not all do it at the same moment.
        await asyncio.sleep(seconds * _random.uniform(0.9, 1))
        await _attempt(work)


async def _attempt(work: Callable[[], Awaitable[object]]) -> None:
    try:
        await work()
    except StoreUnavailable as error:
        _log.warning("background_work_failed", reason=error.detail)
    except Exception:
        # Whatever it is: the next time may do better, and no time is no answer.
        _log.exception("background_work_failed")
