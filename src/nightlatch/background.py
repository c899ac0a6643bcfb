"""What a server process does beside answering: flushing uses, pruning, checkpoints."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog

from nightlatch.model.errors import StoreUnavailable
from nightlatch.store.checkpoint import keep_checkpointing
from nightlatch.store.engine import Engines
from nightlatch.store.sqlite_file import SqliteWriter
from nightlatch.usecases.flush_uses import flush_uses
from nightlatch.usecases.prune import prune_expired
from nightlatch.usecases.services import Services

PRUNE_SECONDS = 3600.0
RESTART_SECONDS = 0.5

_log = structlog.get_logger("nightlatch")


@asynccontextmanager
async def running_background(
    services: Services, engines: Engines, flush_seconds: float
) -> AsyncIterator[None]:
    """Run the periodic work until the block ends, then flush once more."""
    tasks = [
        # It ends by an error only: then it begins again, or nothing would ever be accepted from memory.
        asyncio.create_task(_repeat(0.0, services.currency.keep, RESTART_SECONDS)),
        asyncio.create_task(_repeat(flush_seconds, lambda: flush_uses(services))),
        asyncio.create_task(_repeat(PRUNE_SECONDS, lambda: prune_expired(services))),
    ]
    if engines.sqlite_file is not None and isinstance(engines.writing, SqliteWriter):
        tasks.append(asyncio.create_task(keep_checkpointing(engines.writing, engines.sqlite_file)))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await _attempt(lambda: flush_uses(services))


async def _repeat(
    seconds: float, work: Callable[[], Awaitable[object]], between: float | None = None
) -> None:
    await asyncio.sleep(seconds)
    while True:
        await _attempt(work)
        await asyncio.sleep(seconds if between is None else between)


async def _attempt(work: Callable[[], Awaitable[object]]) -> None:
    try:
        await work()
    except StoreUnavailable as error:
        _log.warning("background_work_failed", reason=error.detail)
    except Exception:
        # Whatever it is: the next time may do better, and no time is no answer.
        _log.exception("background_work_failed")
