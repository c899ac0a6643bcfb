"""Units of work: where a transaction begins and ends, and nowhere else."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from nightlatch.counts import Counts
from nightlatch.model.errors import StoreUnavailable
from nightlatch.spans import NO_SPANS, Spans
from nightlatch.store.connection import Connection
from nightlatch.store.engine import Engines
from nightlatch.store.failures import translated


class Store:
    """The database, seen from the use cases."""

    def __init__(self, engines: Engines, counts: Counts, spans: Spans = NO_SPANS) -> None:
        self._engines = engines
        self._spans = spans
        self._system = "sqlite" if self.is_file else "postgresql"
        self._errors = counts.database_errors

    @property
    def is_file(self) -> bool:
        """Whether it is an SQLite file."""
        return self._engines.sqlite_file is not None

    def renew_connections(self) -> None:
        """Cut every connection, also those in use: what they lead to is not the primary any more."""
        self._engines.renew()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Connection]:
        """A connection on which each statement stands alone, seeing all that was committed before.

        Raises StoreUnavailable.
        """
        with self._counted("read"), self._spans.part("database read", self._system):
            async with self._engines.reading.connect() as connection:
                yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Connection]:
        """One transaction: committed, durably, when the block ends without an error.

        Raises StoreUnavailable; when the COMMIT itself was cut off, what was done may have
        happened. An error in the block undoes everything in it.
        """
        with self._counted("write"), self._spans.part("database write", self._system) as part:
            async with self._engines.writing.begin() as connection:
                yield connection
                part.next("database commit")

    @contextmanager
    def _counted(self, operation: str) -> Iterator[None]:
        try:
            with translated():
                yield
        except StoreUnavailable:
            self._errors[operation] += 1
            raise
