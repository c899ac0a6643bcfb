"""Flush: write the gathered uses of tokens to the database."""

import asyncio
from collections.abc import Sequence

from nightlatch.model.use import Use
from nightlatch.store.token_usage import add_usage
from nightlatch.store.token_use import record_uses
from nightlatch.usecases.services import Memory

BATCH_USES = 500
"""In one transaction: it holds locks, and on SQLite the event loop."""


async def flush_uses(memory: Memory) -> int:
    """Write what was gathered since the last flush; the number of tokens.

    Raises StoreUnavailable; what was gathered is kept for the next time. Where the COMMIT itself was cut
    off, so that its outcome is unknown, one batch may be counted twice.
    """
    uses = memory.uses.take()
    for begin in range(0, len(uses), BATCH_USES):
        end = begin + BATCH_USES
        writing = asyncio.ensure_future(_write(memory, uses[begin:end]))
        try:
            await asyncio.shield(writing)
        except BaseException:
            # Whoever is cancelled has not undone a COMMIT under way: put back, it would count twice.
            await asyncio.wait([writing])
            is_written = not writing.cancelled() and writing.exception() is None
            memory.uses.put_back(uses[end if is_written else begin :])
            raise
    return len(uses)


async def _write(memory: Memory, batch: Sequence[Use]) -> None:
    async with memory.store.write() as connection:
        await record_uses(connection, batch)
        await add_usage(connection, batch)
