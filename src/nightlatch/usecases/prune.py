"""Prune: remove tokens that expired long ago, and old rows of the change feed."""

from nightlatch.store.pruning import BATCH_ROWS, prune
from nightlatch.usecases.services import Services


async def prune_expired(services: Services) -> int:
    """Delete them in batches; the number of tokens deleted. Raises StoreUnavailable."""
    total = 0
    while True:
        async with services.store.write() as connection:
            deleted = await prune(connection)
        total += deleted
        if deleted < BATCH_ROWS:
            return total
