"""Flush: write the gathered uses of tokens to the database."""

from nightlatch.model.errors import StoreUnavailable
from nightlatch.store.token_use import record_uses
from nightlatch.usecases.services import Services


async def flush_uses(services: Services) -> int:
    """Write what was gathered since the last flush; the number of tokens.

    Raises StoreUnavailable; what was gathered is kept for the next time.
    """
    uses = services.uses.take()
    if not uses:
        return 0
    try:
        async with services.store.write() as connection:
            await record_uses(connection, uses)
    except StoreUnavailable:
        services.uses.put_back(uses)
        raise
    return len(uses)
