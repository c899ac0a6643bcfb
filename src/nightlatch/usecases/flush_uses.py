"""Flush: write the gathered uses of tokens to the database."""

from nightlatch.store.token_use import record_uses
from nightlatch.usecases.services import Memory

BATCH_USES = 500
"""In one transaction: it holds locks, and on SQLite the event loop."""


async def flush_uses(memory: Memory) -> int:
    """Write what was gathered since the last flush; the number of tokens.

    Raises StoreUnavailable; what was gathered is kept for the next time.
    """
    uses = memory.uses.take()
    for begin in range(0, len(uses), BATCH_USES):
        try:
            async with memory.store.write() as connection:
                await record_uses(connection, uses[begin : begin + BATCH_USES])
        except BaseException:
            memory.uses.put_back(uses[begin:])
            raise
    return len(uses)
