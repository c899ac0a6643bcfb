"""Check health: whether the database answers."""

from nightlatch.store.health import ping
from nightlatch.usecases.services import Services


async def check_health(services: Services) -> None:
    """Return if the database answers; raises StoreUnavailable."""
    async with services.store.read() as connection:
        await ping(connection)
