"""PostgreSQL for asyncio: a few connections of asyncpg, used in turn.

SQLAlchemy writes the statements and converts their values, but does not run them: its own way to asyncpg
takes a statement four times what asyncpg takes.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

import asyncpg
from sqlalchemy import Connection as SyncConnection
from sqlalchemy import Dialect, Executable, Result
from sqlalchemy.dialects import registry
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from nightlatch.model.errors import Refused, StoreUnavailable
from nightlatch.store.pulse import WatchedConnection, confirm_primary
from nightlatch.store.statement import Statement

BUSY_SECONDS: Final = 10.0
"""How long it may take to get a connection."""
CONNECTIONS_MAX: Final = 10
COMMIT_SECONDS_MAX: Final = 8.0
"""How long a COMMIT may take, the standby's confirmation included; then its outcome is unknown."""
CLOSE_SECONDS: Final = 2.0
"""How long a connection may take to say goodbye."""

_Result = TypeVar("_Result")
DIALECT: Final[Dialect] = registry.load("postgresql.asyncpg")()
_statements: WeakKeyDictionary[Executable, Statement] = WeakKeyDictionary()


class PostgresqlConnection:
    """What queries run on."""

    def __init__(self, driver: WatchedConnection) -> None:
        self._driver = driver

    @property
    def dialect(self) -> Dialect:
        """PostgreSQL's."""
        return DIALECT

    async def execute(
        self, statement: Executable, parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> Result[Any]:
        """The statement's rows. Raises IntegrityError or DBAPIError of SQLAlchemy's.

        Outside a transaction it is committed then; raises StoreUnavailable when that was not confirmed.
        """
        ready = _statements.get(statement)
        if ready is None:
            ready = _statements[statement] = Statement(statement, DIALECT)
        driver = self._driver
        try:
            if isinstance(parameters, Sequence):
                await driver.executemany(ready.text, [ready.arguments(each) for each in parameters])
                records: Sequence[Any] = ()
            else:
                records = await driver.fetch(ready.text, *ready.arguments(parameters or {}))
        except asyncpg.IntegrityConstraintViolationError as error:
            raise IntegrityError(None, None, error) from error
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            raise DBAPIError(None, None, error) from error
        if not driver.is_in_transaction():  # then it was committed
            driver.check_confirmed()
        return ready.result(records)


class PostgresqlPool:
    """At most CONNECTIONS_MAX connections, opened when they are needed; the last used comes first."""

    def __init__(self, connect: Callable[[], Awaitable[WatchedConnection]]) -> None:
        self._open = connect
        self._idle: list[WatchedConnection] = []
        self._in_use: set[WatchedConnection] = set()
        self._closed = False
        self._renewals = 0
        self._turns = asyncio.Semaphore(CONNECTIONS_MAX)

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[PostgresqlConnection]:
        """A connection on which each statement stands alone.

        Raises TimeoutError when none becomes free within BUSY_SECONDS, and what asyncpg and the
        system say when none can be opened.
        """
        async with self._connected() as driver:
            yield PostgresqlConnection(driver)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[PostgresqlConnection]:
        """A connection in a transaction; raises as `connect`, and what goes wrong with the COMMIT.

        Raises StoreUnavailable when the standby did not confirm the COMMIT, or what a refusal that the
        block was left with rests on.
        """
        async with self._connected() as driver:
            await driver.execute("BEGIN")
            try:
                yield PostgresqlConnection(driver)
            except Refused:
                await driver.execute("ROLLBACK")
                # Told of what a standby lacks, somebody would believe what a failover takes back.
                await confirm_primary(PostgresqlConnection(driver))
                raise
            driver.warning = None
            if await _finished(driver.execute("COMMIT", timeout=COMMIT_SECONDS_MAX)) != "COMMIT":
                # So it answers when a statement failed and the error was dropped.
                raise RuntimeError("the transaction was undone, not committed")
            driver.check_confirmed()

    async def run_sync(self, work: Callable[[SyncConnection], _Result]) -> _Result:
        """The result of work that is written for SQLAlchemy's own connection, as Alembic's is.

        It has a transaction and a connection to itself.
        """
        engine = create_async_engine(
            "postgresql+asyncpg://", async_creator=self._open, poolclass=NullPool, hide_parameters=True
        )
        async with engine.begin() as connection:
            return await connection.run_sync(work)

    def renew(self) -> None:
        """Cut every connection, also those in use: they lead to what is not the primary any more."""
        self._renewals += 1  # for those that are being opened
        self._cut_idle()
        for driver in self._in_use:
            driver.cut()

    async def dispose(self) -> None:
        """Close every connection: those in use when they are given back. None is given out any more."""
        self._closed = True
        idle, self._idle = self._idle, []
        # One that answers no more is cut off after that time, and is no error.
        await asyncio.gather(
            *(driver.close(timeout=CLOSE_SECONDS) for driver in idle), return_exceptions=True
        )

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[WatchedConnection]:
        async with asyncio.timeout(BUSY_SECONDS):
            await self._turns.acquire()
        driver = None
        kept = False
        try:
            driver = await self._take()
            self._in_use.add(driver)
            try:
                yield driver
            except (Refused, IntegrityError):
                if driver.is_in_transaction():
                    await driver.execute("ROLLBACK")
                kept = True
                raise
            except Exception as error:
                if driver.is_closed() or isinstance(error, (OSError, TimeoutError, StoreUnavailable)):
                    # What cut this one off has mostly cut off those that were idle, unnoticed; and what
                    # is no primary for this one is none for them.
                    self._cut_idle()
                raise
            kept = True
        finally:
            # What a connection was in the middle of when something else went wrong is not known:
            # it is closed, at once, and the database undoes what was not committed.
            if driver is not None:
                self._in_use.discard(driver)
                if kept and not self._closed:
                    self._idle.append(driver)
                else:
                    driver.terminate()
            self._turns.release()

    def _cut_idle(self) -> None:
        while self._idle:
            self._idle.pop().terminate()

    async def _take(self) -> WatchedConnection:
        if self._closed:
            raise asyncpg.InterfaceError("the pool is closed")
        while self._idle:
            driver = self._idle.pop()
            if not driver.is_closed():  # as after a restart of the database
                return driver
        while True:
            renewals = self._renewals
            driver = await self._open()
            if renewals == self._renewals:
                return driver
            driver.terminate()


async def _finished(commit: Coroutine[Any, Any, str]) -> str:
    """The outcome of a COMMIT, which goes on when whoever waits for it is cancelled (H28)."""
    task = asyncio.ensure_future(commit)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())  # if nobody waits any more
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
