"""What a statement that memory may be filled or trusted by has to read beside its rows."""

from typing import Any, Final

from sqlalchemy import ColumnElement, select

from nightlatch.model.change import Snapshot
from nightlatch.model.errors import StoreUnavailable
from nightlatch.store.columns import database_epoch, database_now
from nightlatch.store.connection import Connection
from nightlatch.store.pulse import database_pulse
from nightlatch.store.tables import change_counter

SNAPSHOT: Final[tuple[ColumnElement[Any], ...]] = (
    database_epoch().label("epoch"),
    change_counter.c.number.label("head"),
    database_now().label("now"),
    change_counter.c.lease_milliseconds,
)


def read_snapshot(epoch: str | None, head: int, seconds: float, lease_milliseconds: int) -> Snapshot:
    """The snapshot that those columns tell. Raises StoreUnavailable for a standby."""
    if epoch is None:
        raise StoreUnavailable(
            "The database cannot be asked at the moment. Try again later.", "the database is in recovery"
        )
    return Snapshot(epoch, head, seconds, lease_milliseconds / 1000)


async def read_lease_waited(connection: Connection) -> float:
    """The lease, in seconds, that a revocation acknowledged before this statement must be waited for by.

    Read after the commit, never before: a lease raised in between has been read by nobody who has not
    also read the revocation. Raises StoreUnavailable for what is no primary, or none any more.
    """
    query = select(*SNAPSHOT, change_counter.c.lease_waited_milliseconds, database_pulse())
    row = (await connection.execute(query)).one()
    read_snapshot(row.epoch, row.head, row.now.timestamp(), row.lease_milliseconds)
    milliseconds: int = row.lease_waited_milliseconds
    return milliseconds / 1000
