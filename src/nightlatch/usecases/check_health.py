"""Check health: whether requests can be answered."""

from nightlatch.usecases.services import Services


async def check_health(services: Services) -> None:
    """Return if the database is there, memory may answer and the schema fits; raises StoreUnavailable.

    True to within a second. It takes no time: the reads that keep memory current tell of the database, and
    the schema is looked at twice a second at most.
    """
    services.currency.check_heard()
    await services.schema.check()
