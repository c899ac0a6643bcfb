"""What queries are run on: the same for both databases."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection as SyncConnection
from sqlalchemy import Dialect, Executable, Result

_Result = TypeVar("_Result")


class Connection(Protocol):
    """A connection in use: `postgresql_pool.PostgresqlConnection` or `sqlite_file.SqliteConnection`."""

    @property
    def dialect(self) -> Dialect:
        """Of which database it is."""
        ...

    async def execute(
        self, statement: Executable, parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> Result[Any]:
        """The statement's result. Raises SQLAlchemy's errors."""
        ...


class Engine(Protocol):
    """Where connections come from: a `postgresql_pool.PostgresqlPool`, or one of `sqlite_file`."""

    def connect(self) -> AbstractAsyncContextManager[Connection]:
        """A connection for statements that stand alone."""
        ...

    def begin(self) -> AbstractAsyncContextManager[Connection]:
        """A connection in a transaction, which is committed when the block ends without an error."""
        ...

    async def run_sync(self, work: Callable[[SyncConnection], _Result]) -> _Result:
        """The result of work on a connection of SQLAlchemy's without asyncio, as Alembic needs.

        In the writing engine it is one transaction.
        """
        ...

    async def dispose(self) -> None:
        """Close every connection."""
        ...
