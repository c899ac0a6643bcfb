"""Prune: remove tokens and links that expired long ago, and old rows of the change feed."""

from typing import Final

from nightlatch.store.pruning import BATCH_ROWS, may_prune, prune_changes, prune_links, prune_tokens
from nightlatch.usecases.services import Services

_BATCHES: Final = (prune_tokens, prune_links, prune_changes)


async def prune_expired(services: Services) -> int:
    """Delete them in batches, each a transaction of its own; the number of rows deleted.

    Stops at once where another process is pruning. Raises StoreUnavailable.
    """
    total = 0
    for batch in _BATCHES:
        deleted = BATCH_ROWS
        while deleted >= BATCH_ROWS:
            async with services.store.write() as connection:
                if not await may_prune(connection):
                    return total
                deleted = await batch(connection)
            total += deleted
    return total
