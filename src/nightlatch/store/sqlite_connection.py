"""SQLite connections for SQLAlchemy's asyncio engine, with as few changes of thread as possible.

aiosqlite makes four trips to its thread for each statement, which costs more than the statement.
Here only what waits goes to a thread: BEGIN where somebody else writes, COMMIT for the disk. Everything
else takes some microseconds and is done at once: in a transaction the lock is held already, and
with a write-ahead log a reader waits for nobody.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self, TypeVar

_Result = TypeVar("_Result")


class SqliteConnection:
    """What SQLAlchemy's aiosqlite dialect expects of a connection, on Python's own sqlite3."""

    def __init__(self, file: Path, busy_seconds: float, in_thread: bool) -> None:
        self._connection = sqlite3.connect(
            file, timeout=busy_seconds, isolation_level=None, check_same_thread=False
        )
        self._busy_milliseconds = int(busy_seconds * 1000)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite") if in_thread else None

    async def run(self, work: Callable[[], _Result]) -> _Result:
        """The result of a statement: at once, unless it begins a transaction."""
        if self._thread is None or self._connection.in_transaction:
            return work()
        return await self._wait(work)

    async def begin(self) -> None:
        """BEGIN IMMEDIATE: at once if nobody writes, else when its turn has come."""
        self._connection.execute("PRAGMA busy_timeout = 0")
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            pass  # somebody writes, or what is wrong will be said again below
        finally:
            self._connection.execute(f"PRAGMA busy_timeout = {self._busy_milliseconds}")
        if not self._connection.in_transaction:
            await self._wait(lambda: self._connection.execute("BEGIN IMMEDIATE"))

    async def checkpoint(self, busy_milliseconds: int) -> tuple[int, int, int]:
        """Write the log back and empty it: whether it was kept from its end, pages in it, pages done."""

        def work() -> tuple[int, int, int]:
            self._connection.execute(f"PRAGMA busy_timeout = {busy_milliseconds}")
            try:
                row: tuple[int, int, int] = self._connection.execute(
                    "PRAGMA wal_checkpoint(TRUNCATE)"
                ).fetchone()
            finally:
                self._connection.execute(f"PRAGMA busy_timeout = {self._busy_milliseconds}")
            return row

        return await self._wait(work)

    async def _wait(self, work: Callable[[], _Result]) -> _Result:
        # One after another, also when a task that waits here is cancelled.
        if self._thread is None:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    @property
    def isolation_level(self) -> str | None:
        """None: transactions begin where we say so."""
        return self._connection.isolation_level

    def cursor(self) -> "SqliteCursor":
        """A cursor that has read all rows when its statement has run."""
        return SqliteCursor(self, self._connection.cursor())

    async def create_function(self, *arguments: Any, **options: Any) -> None:
        """Define an SQL function; SQLAlchemy adds `regexp`."""
        self._connection.create_function(*arguments, **options)

    async def commit(self) -> None:
        """COMMIT, if there is a transaction."""
        if self._connection.in_transaction:
            await self._wait(self._connection.commit)

    async def rollback(self) -> None:
        """ROLLBACK, if there is a transaction."""
        if self._connection.in_transaction:
            await self._wait(self._connection.rollback)

    async def close(self) -> None:
        """Close, after what was begun before."""
        await self._wait(self._connection.close)
        self.stop()

    def stop(self) -> None:
        """Let the thread end when it has done what it was given."""
        if self._thread is not None:
            self._thread.shutdown(wait=False)


class SqliteCursor:
    """What the dialect expects of a cursor."""

    def __init__(self, connection: SqliteConnection, cursor: sqlite3.Cursor) -> None:
        self._connection = connection
        self._cursor = cursor
        self._rows: list[Any] = []
        self.arraysize = 1

    async def __aenter__(self) -> Self:
        return self

    @property
    def description(self) -> Any:
        """The columns of the result."""
        return self._cursor.description

    @property
    def rowcount(self) -> int:
        """How many rows were changed."""
        return self._cursor.rowcount

    @property
    def lastrowid(self) -> int | None:
        """The key of the row inserted last."""
        return self._cursor.lastrowid

    async def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Self:
        """Run the statement and read its rows."""

        def work() -> list[Any]:
            self._cursor.execute(statement, parameters)
            return self._cursor.fetchall() if self._cursor.description else []

        self._rows = await self._connection.run(work)
        return self

    async def executemany(self, statement: str, parameters: Sequence[Any]) -> Self:
        """Run the statement once for each set of parameters."""
        await self._connection.run(lambda: self._cursor.executemany(statement, parameters))
        return self

    async def fetchall(self) -> list[Any]:
        """The rows, read already."""
        return self._rows

    async def close(self) -> None:
        """Free the statement."""
        self._cursor.close()
