"""Prune: remove what expired long ago, old changes and events, and counts that have been made up for."""

from collections.abc import Awaitable, Callable
from typing import Final

from nightlatch.model.event import Retention
from nightlatch.store import events
from nightlatch.store.connection import Connection
from nightlatch.store.pruning import (
    BATCH_ROWS,
    may_prune,
    prune_changes,
    prune_child_tokens,
    prune_invitations,
    prune_links,
    prune_sessions,
    prune_tokens,
    prune_usage,
)
from nightlatch.store.throttles import has_free, prune_free
from nightlatch.usecases.services import Services

_BATCHES: Final = (
    prune_child_tokens,
    prune_tokens,
    prune_links,
    prune_invitations,
    prune_sessions,
    prune_usage,
    prune_changes,
)


async def prune_expired(services: Services) -> int:
    """Delete long expired tokens, links, invitations and sessions, old changes and usage; how many rows.

    In batches, each a transaction of its own. Stops at once where another process is pruning. Raises
    StoreUnavailable.
    """
    return sum([await _prune(services, batch) for batch in _BATCHES])


async def prune_throttle(services: Services) -> int:
    """Delete, in the same way, what was counted and has been made up for; the number of rows deleted.

    Writes nothing where there is nothing to delete.
    """
    async with services.store.read() as connection:
        if not await has_free(connection):
            return 0
    return await _prune(services, prune_free)


async def _prune(services: Services, batch: Callable[[Connection], Awaitable[int]]) -> int:
    total, deleted = 0, BATCH_ROWS
    while deleted >= BATCH_ROWS:
        async with services.store.write() as connection:
            if not await may_prune(connection):
                break
            deleted = await batch(connection)
        total += deleted
    return total


async def prune_events(services: Services, retention: Retention) -> int:
    """Erase addresses and user agents of events, and delete events, that are older than they are kept.

    In batches, each a transaction of its own; returns how many events that were. Stops at once where
    another process is pruning. Raises StoreUnavailable.
    """
    total = 0
    while True:
        async with services.store.write() as connection:
            pruned = await events.prune_events(connection, retention) if await may_prune(connection) else 0
        total += pruned
        if pruned == 0:
            return total
