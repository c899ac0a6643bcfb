"""The cheapest question."""

from sqlalchemy import select

from nightlatch.store.connection import Connection
from nightlatch.store.tables import change_counter


async def ping(connection: Connection) -> None:
    """Read one row that every schema has."""
    (await connection.execute(select(change_counter.c.number))).one()
