"""The lease in the database: how long memory may be trusted after a read, for all nodes alike."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import func, select, update

from nightlatch.model.event import Event
from nightlatch.model.records import LeaseRecord
from nightlatch.store.connection import Connection
from nightlatch.store.events import insert_event
from nightlatch.store.tables import change_counter

_ADVISORY_LOCK = 0x6E6C6C65
"""Held by whoever changes the lease, through both of its steps."""

_COLUMNS = (change_counter.c.lease_milliseconds, change_counter.c.lease_waited_milliseconds)


async def find_lease(connection: Connection) -> LeaseRecord:
    """The lease, as feeds use it and as revocations wait for it."""
    row = (await connection.execute(select(*_COLUMNS))).one()
    return LeaseRecord(row.lease_milliseconds, row.lease_waited_milliseconds)


async def set_lease(connection: Connection, lease: LeaseRecord, event: Event | None = None) -> None:
    """Store both, and record the event: in one statement, since the connection is in no transaction."""
    change = update(change_counter).values(
        lease_milliseconds=lease.milliseconds, lease_waited_milliseconds=lease.waited_milliseconds
    )
    if event is None:
        await connection.execute(change)
    else:
        await insert_event(connection, event, beside=change)


@asynccontextmanager
async def changing_lease(connection: Connection) -> AsyncIterator[bool]:
    """Whether nobody else is changing it; if so, nobody else begins to before the block ends.

    The connection must stay open meanwhile, outside a transaction.
    """
    free: bool = (await connection.execute(select(func.pg_try_advisory_lock(_ADVISORY_LOCK)))).scalar_one()
    try:
        yield free
    finally:
        if free:
            await connection.execute(select(func.pg_advisory_unlock(_ADVISORY_LOCK)))
