"""PostgreSQL for asyncio: a few connections of asyncpg, used in turn.

SQLAlchemy writes the statements and converts their values, but does not run them: its own way to asyncpg
takes a statement four times what asyncpg takes.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
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

from nightlatch.model.errors import NightlatchError
from nightlatch.store.statement import Statement

BUSY_SECONDS: Final = 10.0
"""How long it may take to get a connection."""
CONNECTIONS_MAX: Final = 10
CLOSE_SECONDS: Final = 2.0
"""How long a connection may take to say goodbye."""

_Result = TypeVar("_Result")
DIALECT: Final[Dialect] = registry.load("postgresql.asyncpg")()
_statements: WeakKeyDictionary[Executable, Statement] = WeakKeyDictionary()


class PostgresqlConnection:
    """What queries run on."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver

    @property
    def dialect(self) -> Dialect:
        """PostgreSQL's."""
        return DIALECT

    async def execute(
        self, statement: Executable, parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> Result[Any]:
        """The statement's rows. Raises IntegrityError or DBAPIError of SQLAlchemy's."""
        ready = _statements.get(statement)
        if ready is None:
            ready = _statements[statement] = Statement(statement, DIALECT)
        try:
            if isinstance(parameters, Sequence):
                await self._driver.executemany(ready.text, [ready.arguments(each) for each in parameters])
                return ready.result(())
            return ready.result(await self._driver.fetch(ready.text, *ready.arguments(parameters or {})))
        except asyncpg.IntegrityConstraintViolationError as error:
            raise IntegrityError(None, None, error) from error
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            raise DBAPIError(None, None, error) from error


class PostgresqlPool:
    """At most CONNECTIONS_MAX connections, opened when they are needed; the last used comes first."""

    def __init__(self, connect: Callable[[], Awaitable[Any]]) -> None:
        self._open = connect
        self._idle: list[Any] = []
        self._closed = False
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
        """A connection in a transaction; raises as `connect`, and what goes wrong with the COMMIT."""
        async with self._connected() as driver:
            await driver.execute("BEGIN")
            yield PostgresqlConnection(driver)
            if await driver.execute("COMMIT") != "COMMIT":
                # So it answers when a statement failed and the error was dropped.
                raise RuntimeError("the transaction was undone, not committed")

    async def run_sync(self, work: Callable[[SyncConnection], _Result]) -> _Result:
        """The result of work that is written for SQLAlchemy's own connection, as Alembic's is.

        It has a transaction and a connection to itself.
        """
        engine = create_async_engine(
            "postgresql+asyncpg://", async_creator=self._open, poolclass=NullPool, hide_parameters=True
        )
        async with engine.begin() as connection:
            return await connection.run_sync(work)

    async def dispose(self) -> None:
        """Close every connection: those in use when they are given back. None is given out any more."""
        self._closed = True
        idle, self._idle = self._idle, []
        # One that answers no more is cut off after that time, and is no error.
        await asyncio.gather(
            *(driver.close(timeout=CLOSE_SECONDS) for driver in idle), return_exceptions=True
        )

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Any]:
        async with asyncio.timeout(BUSY_SECONDS):
            await self._turns.acquire()
        driver = None
        kept = False
        try:
            driver = await self._take()
            try:
                yield driver
            except (NightlatchError, IntegrityError):
                if driver.is_in_transaction():
                    await driver.execute("ROLLBACK")
                kept = True
                raise
            except Exception as error:
                if driver.is_closed() or isinstance(error, (OSError, TimeoutError)):
                    # What cut this one off has mostly cut off those that were idle, unnoticed.
                    self._cut_idle()
                raise
            kept = True
        finally:
            # What a connection was in the middle of when something else went wrong is not known:
            # it is closed, at once, and the database undoes what was not committed.
            if driver is not None:
                if kept and not self._closed:
                    self._idle.append(driver)
                else:
                    driver.terminate()
            self._turns.release()

    def _cut_idle(self) -> None:
        while self._idle:
            self._idle.pop().terminate()

    async def _take(self) -> Any:
        if self._closed:
            raise asyncpg.InterfaceError("the pool is closed")
        while self._idle:
            driver = self._idle.pop()
            if not driver.is_closed():  # as after a restart of the database
                return driver
        return await self._open()
