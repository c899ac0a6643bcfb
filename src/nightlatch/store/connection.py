"""What queries are run on: the same for both databases."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection as SyncConnection
from sqlalchemy import CursorResult, Dialect, Executable

_Result = TypeVar("_Result")


class Connection(Protocol):
    """A connection in use: SQLAlchemy's AsyncConnection, or `sqlite_file.SqliteConnection`."""

    @property
    def dialect(self) -> Dialect:
        """Of which database it is."""
        ...

    async def execute(
        self, statement: Executable, parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> CursorResult[Any]:
        """The statement's result. Raises SQLAlchemy's errors."""
        ...

    async def run_sync(self, work: Callable[[SyncConnection], _Result]) -> _Result:
        """The result of work that is written for a connection without asyncio, as Alembic's is."""
        ...


class Engine(Protocol):
    """Where connections come from: SQLAlchemy's AsyncEngine, or one of `sqlite_file`."""

    def connect(self) -> AbstractAsyncContextManager[Connection]:
        """A connection for statements that stand alone."""
        ...

    def begin(self) -> AbstractAsyncContextManager[Connection]:
        """A connection in a transaction, which is committed when the block ends without an error."""
        ...

    async def dispose(self) -> None:
        """Close every connection."""
        ...
