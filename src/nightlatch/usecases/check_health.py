"""Check health: whether requests can be answered."""

from nightlatch.store.health import ping
from nightlatch.usecases.services import Services


async def check_health(services: Services) -> None:
    """Return if the database answers and memory is current; raises StoreUnavailable."""
    await services.currency.wait_current()
    async with services.store.read() as connection:
        await ping(connection)
