"""An SQLite file for asyncio: one connection that reads, one that writes, and a thread for what waits.

SQLAlchemy's own way, aiosqlite, makes several trips to a thread for each statement, which cost more than
the statement. Here only what waits goes to a thread: BEGIN where another process writes, COMMIT for the
disk, a checkpoint. Everything else takes some microseconds and is done at once: with a write-ahead log a
reader waits for nobody, and in a transaction the lock is held already.
"""

import asyncio
import sqlite3
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Self, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import Connection as SyncConnection
from sqlalchemy import Dialect, Executable, Result, create_engine
from sqlalchemy import Engine as SyncEngine
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.pool import StaticPool

from nightlatch.model.errors import CannotStart
from nightlatch.store.statement import Statement

BUSY_SECONDS: Final = 10.0
"""How long a write waits for its turn."""
READ_BUSY_SECONDS: Final = 1.0
"""Readers wait for nobody, except while a log left by a crash is recovered."""
_SWITCH_TRIES: Final = 500

_Result = TypeVar("_Result")
_statements: WeakKeyDictionary[Executable, Statement | None] = WeakKeyDictionary()
"""Those that have come before, made ready once they come again."""


class _Cursor(sqlite3.Cursor):
    """Reads all rows with its statement: one left open would hold its connection to an old snapshot."""

    _rows: deque[Any]

    def execute(self, *arguments: Any) -> Self:
        super().execute(*arguments)
        self._rows = deque(super().fetchall() if self.description else ())
        return self

    def fetchone(self) -> Any:
        return self._rows.popleft() if self._rows else None

    def fetchmany(self, size: int | None = 1) -> list[Any]:
        return [self._rows.popleft() for _ in range(min(size or 1, len(self._rows)))]

    def fetchall(self) -> list[Any]:
        rows, self._rows = list(self._rows), deque()
        return rows


class _Driver(sqlite3.Connection):
    def cursor(self, factory: Any = _Cursor) -> Any:
        return super().cursor(factory)


class SqliteConnection:
    """What queries run on, used at once.

    SQLAlchemy writes the statements and converts their values. One that comes again it does not run: its
    own way takes a statement several times what SQLite takes.
    """

    def __init__(self, connection: SyncConnection, driver: sqlite3.Connection) -> None:
        self._connection = connection
        self._driver = driver

    @property
    def dialect(self) -> Dialect:
        """SQLite's."""
        return self._connection.dialect

    async def execute(
        self, statement: Executable, parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> Result[Any]:
        """The statement's result, read to its end. Raises SQLAlchemy's errors."""
        if statement not in _statements:
            # Perhaps it was written for this one time; SQLAlchemy knows one like it.
            _statements[statement] = None
            return self._connection.execute(statement, parameters)
        ready = _statements[statement]
        if ready is None:
            ready = _statements[statement] = Statement(statement, self.dialect)
        cursor = sqlite3.Cursor(self._driver)
        cursor.row_factory = sqlite3.Row
        try:
            if isinstance(parameters, Sequence):
                cursor.executemany(ready.text, [ready.arguments(each) for each in parameters])
                return ready.result(())
            return ready.result(cursor.execute(ready.text, ready.arguments(parameters or {})).fetchall())
        except sqlite3.IntegrityError as error:
            raise IntegrityError(None, None, error) from error
        except sqlite3.Error as error:
            raise DBAPIError(None, None, error) from error

    def run(self, work: Callable[[SyncConnection], _Result]) -> _Result:
        """The result of work on SQLAlchemy's connection."""
        return work(self._connection)

    def close(self) -> None:
        """Give it back to its engine."""
        self._connection.close()


class _File:
    """One connection to the file, opened when it is first used."""

    def __init__(self, file: Path, busy_seconds: float) -> None:
        self._file = file
        self._busy_seconds = busy_seconds
        self._opened: SqliteConnection | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")
        self._engine: SyncEngine = create_engine(
            "sqlite://", creator=self._connect, poolclass=StaticPool, hide_parameters=True
        )

    def _connect(self) -> sqlite3.Connection:
        self._driver = open_file(self._file, self._busy_seconds)
        return self._driver

    def _open(self) -> SqliteConnection:
        if self._opened is None:
            connection = self._engine.connect()  # opens the file
            self._opened = SqliteConnection(connection, self._driver)
        return self._opened

    async def _in_thread(self, work: Callable[[], _Result]) -> _Result:
        """The result of what may wait. Whoever is cancelled meanwhile goes on only when it is done."""
        future = asyncio.get_running_loop().run_in_executor(self._thread, work)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            raise

    async def dispose(self) -> None:
        """Close the connection, after what is under way."""
        if self._opened is not None:
            await self._in_thread(self._opened.close)
            await self._in_thread(self._engine.dispose)
            self._opened = None
        self._thread.shutdown(wait=False)


class SqliteReader(_File):
    """Statements on their own, each seeing all that was committed before it."""

    def __init__(self, file: Path) -> None:
        super().__init__(file, READ_BUSY_SECONDS)

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[SqliteConnection]:
        """The connection; many may use it in turn, since no statement is left half read."""
        yield self._open()

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[SqliteConnection]:
        """Not for reading: raises RuntimeError."""
        raise RuntimeError("transactions are the writer's")
        yield self._open()

    async def run_sync(self, work: Callable[[SyncConnection], _Result]) -> _Result:
        """The result of work on SQLAlchemy's connection."""
        return self._open().run(work)


class SqliteWriter(_File):
    """Transactions, one after another: SQLite has one writer at a time, whatever the number of processes."""

    def __init__(self, file: Path) -> None:
        # Who waits for another process does so in the thread, which sets its own time.
        super().__init__(file, 0.0)
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[SqliteConnection]:
        """The connection outside a transaction."""
        async with self._turns():
            yield self._open()

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[SqliteConnection]:
        """A transaction with the writer's lock from its beginning: one that read first could not get it.

        Raises TimeoutError or sqlite3.OperationalError when its turn does not come within BUSY_SECONDS.
        """
        async with self._turns():
            connection = self._open()
            try:
                await self._begin()
                yield connection
                await self._in_thread(self._driver.commit)
            finally:
                if self._driver.in_transaction:
                    self._driver.rollback()

    async def run_sync(self, work: Callable[[SyncConnection], _Result]) -> _Result:
        """The result of work on SQLAlchemy's connection, in one transaction."""
        async with self.begin() as connection:
            return connection.run(work)

    async def checkpoint(self, busy_seconds: float) -> bool:
        """Write the log back and empty it; whether all of it was."""
        async with self._turns():
            self._open()
            statement = "PRAGMA wal_checkpoint(TRUNCATE)"
            kept, _, _ = await self._in_thread(lambda: self._waiting(busy_seconds, statement))
            return not kept

    @asynccontextmanager
    async def _turns(self) -> AsyncIterator[None]:
        async with asyncio.timeout(BUSY_SECONDS):
            await self._turn.acquire()
        try:
            yield
        finally:
            self._turn.release()

    async def _begin(self) -> None:
        try:
            self._driver.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            # Somebody else writes, or what is wrong will be said again.
            await self._in_thread(lambda: self._waiting(BUSY_SECONDS, "BEGIN IMMEDIATE"))

    def _waiting(self, seconds: float, statement: str) -> Any:
        self._driver.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")
        try:
            return self._driver.execute(statement).fetchone()
        finally:
            self._driver.execute("PRAGMA busy_timeout = 0")


def open_file(file: Path, busy_seconds: float) -> sqlite3.Connection:
    """A connection in the mode that promises rest on. Raises CannotStart where that cannot be had."""
    driver = sqlite3.connect(
        file, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, factory=_Driver
    )
    mode = _write_ahead(driver)
    driver.execute("PRAGMA synchronous = FULL")
    driver.execute("PRAGMA foreign_keys = ON")
    # Checkpoints are made by one process only, see store/checkpoint.py.
    driver.execute("PRAGMA wal_autocheckpoint = 0")
    driver.execute(f"PRAGMA busy_timeout = {int(busy_seconds * 1000)}")
    (synchronous,) = driver.execute("PRAGMA synchronous").fetchone()
    if mode != "wal" or synchronous != 2:
        driver.close()
        raise CannotStart(
            "database_url (NIGHTLATCH_DATABASE_URL): the SQLite file cannot be used with a write-ahead log "
            f"and full synchronization (journal_mode {mode}, synchronous {synchronous}). "
            "Put it on a local file system."
        )
    return driver


def _write_ahead(driver: sqlite3.Connection) -> str:
    """Switch to a write-ahead log; the journal mode that is in force then.

    A file that two processes create at once refuses one of them at once, without waiting its busy
    time: the switch is tried again until the other has made it.
    """
    for _ in range(_SWITCH_TRIES):
        try:
            return str(driver.execute("PRAGMA journal_mode = WAL").fetchone()[0])
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            time.sleep(0.01)
    return str(driver.execute("PRAGMA journal_mode = WAL").fetchone()[0])
