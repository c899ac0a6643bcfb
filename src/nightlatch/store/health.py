"""The cheapest question."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from nightlatch.store.tables import change_counter


async def ping(connection: AsyncConnection) -> None:
    """Read one row that every schema has."""
    (await connection.execute(select(change_counter.c.number))).one()
