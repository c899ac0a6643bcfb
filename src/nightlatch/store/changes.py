"""Reading the change feed, on a connection that does nothing else.

One statement returns the snapshot and the changes after a number: at most CHANGES_MAX of them; whoever
is further behind forgets everything instead.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import bindparam, select
from sqlalchemy.dialects import registry

from nightlatch.model.change import Change, Snapshot
from nightlatch.model.errors import StoreUnavailable
from nightlatch.model.imported import ImportedKind, read_kinds
from nightlatch.store.imported import IMPORTED_KINDS
from nightlatch.store.pulse import WatchedConnection, database_pulse
from nightlatch.store.snapshots import SNAPSHOT, read_snapshot
from nightlatch.store.statement import Statement
from nightlatch.store.tables import change, change_counter

CHANGES_MAX: Final = 10_000
BUSY_SECONDS: Final = 1.0
"""How long an SQLite read waits: only for the recovery of a log that a crash left."""

_LATER: Final = "The database cannot be asked at the moment. Try again later."
_READ: Final = (
    select(*SNAPSHOT, change.c.number, change.c.digest, database_pulse(), IMPORTED_KINDS)
    .select_from(
        change_counter.outerjoin(change, change.c.number > bindparam("after", type_=change.c.number.type))
    )
    .order_by(change.c.number)
    .limit(CHANGES_MAX + 1)
)


@dataclass(frozen=True, slots=True)
class Feed:
    """A snapshot, and the changes that led to it from the number that was asked for."""

    snapshot: Snapshot
    changes: tuple[Change, ...]
    imported: tuple[ImportedKind, ...]
    """What kinds of tokens have been imported, in the same snapshot."""
    pulse: bool
    """Whether a standby has confirmed that it was none of the promoted ones when the read had begun."""


def _read(rows: Sequence[Any], seconds: float) -> Feed:
    if not rows:
        raise StoreUnavailable(_LATER, "the change counter has no row")
    epoch, head, _, lease_milliseconds = rows[0][:4]
    changes = tuple(Change(row[4], row[5]) for row in rows if row[4] is not None)
    snapshot = read_snapshot(epoch, head, seconds, lease_milliseconds)
    return Feed(snapshot, changes, read_kinds(rows[0][7]), bool(rows[0][6]))


class PostgresqlFeed:
    """The feed of a PostgreSQL database; connects when it is first read, and again after a failure."""

    def __init__(self, connect: Callable[[], Awaitable[WatchedConnection]]) -> None:
        self._connect = connect
        self._connection: WatchedConnection | None = None
        self._statement = Statement(_READ, registry.load("postgresql.asyncpg")())

    async def read(self, after: int, seconds_max: float) -> Feed:
        """The changes after that number, from what was the primary when the read had begun.

        Raises StoreUnavailable, at the latest after that time.
        """
        try:
            async with asyncio.timeout(seconds_max):
                if self._connection is None:
                    self._connection = await self._connect()
                rows = await self._connection.fetch(
                    self._statement.text, *self._statement.arguments({"after": after})
                )
                self._connection.check_confirmed()
            return _read(rows, rows[0][2].timestamp() if rows else 0.0)
        except BaseException as error:
            # Whatever it is (a standby, or a connection lost at a bad moment, which shows as an internal
            # error of the driver): this read told nothing, and the next one takes another connection.
            self.close()
            if isinstance(error, StoreUnavailable) or not isinstance(error, Exception):
                raise
            raise StoreUnavailable(_LATER, f"{type(error).__name__}: {error}") from error

    def close(self) -> None:
        """Drop the connection at once: one that answers no more would not say goodbye either."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


class SqliteFeed:
    """The feed of an SQLite file, read synchronously: some ten microseconds, and never waited for.

    A connection of its own, without transactions, read to the end each time (H22).
    """

    def __init__(self, file: Path) -> None:
        try:
            self._connection = sqlite3.connect(file, timeout=BUSY_SECONDS, isolation_level=None)
            self._connection.execute("PRAGMA wal_autocheckpoint = 0")
            self._connection.execute("PRAGMA query_only = ON")
        except sqlite3.Error as error:
            raise StoreUnavailable(_LATER, f"{type(error).__name__}: {error}") from error
        self._statement = Statement(_READ, registry.load("sqlite")())

    def read(self, after: int) -> Feed:
        """The changes after that number. Raises StoreUnavailable."""
        try:
            rows = self._connection.execute(
                self._statement.text, self._statement.arguments({"after": after})
            ).fetchall()
        except sqlite3.Error as error:
            raise StoreUnavailable(_LATER, f"{type(error).__name__}: {error}") from error
        return _read(rows, rows[0][2] / 1_000_000 if rows else 0.0)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
