"""SQLite: the shared file itself is asked before each answer.

What is asked is the header of the WAL index (store/wal_index.py): 96 bytes of shared memory that every
commit of every process changes before it returns. Are they as they were before the changes were read
last, then nothing has been committed since, and memory is current. Otherwise the changes are read and
applied, synchronously, and then memory is current. No lease and no clock are involved: what was
committed is in force.
"""

import asyncio
import os
import signal
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from nightlatch.clock import Clock
from nightlatch.hot.table import Table
from nightlatch.model.errors import StoreUnavailable
from nightlatch.store.changes import SqliteFeed
from nightlatch.store.wal_index import WalIndex, is_whole

WATCH_SECONDS: Final = 1.0
"""How often it is looked whether the file is still the one that was opened."""
CLOCK_STEP_SECONDS: Final = 1.0
"""A step of the machine's clock beyond this makes ages in memory wrong: it is forgotten."""

_log = structlog.get_logger("nightlatch")


class SharedFile:
    """Whether memory may answer, on SQLite (`hot.currency.Currency`)."""

    strict: Final = False

    def __init__(self, file: Path, table: Table, clock: Clock) -> None:
        self._file = file
        self._table = table
        self._elapsed = clock.elapsed_seconds
        self._wall = clock.wall_seconds
        self._feed: SqliteFeed | None = None
        self._header: Callable[[], bytes] = bytes
        self._seen: bytes | None = None
        self._opened: tuple[int, int] | None = None
        self._refusal: str | None = None
        forget = weakref.WeakMethod(self._forget)
        os.register_at_fork(after_in_child=lambda: (method := forget()) and method())

    def database_seconds_nowait(self) -> float | None:
        """The machine's clock is SQLite's, unless something was committed since the last catching up."""
        return self._wall() if self._header() == self._seen else None

    async def wait_current(self) -> None:
        """Catch up, at once. Raises StoreUnavailable."""
        if self.database_seconds_nowait() is None:
            self._catch_up()

    async def wait_in_force(self) -> None:
        """Nothing to wait for: every process sees the commit before it answers again."""

    async def keep(self) -> None:
        """Watch what the header cannot tell: a file replaced by another, and a clock that was set."""
        offset = self._wall() - self._elapsed()
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            self._check_file()
            stepped, offset = offset, self._wall() - self._elapsed()
            if abs(offset - stepped) > CLOCK_STEP_SECONDS and self._feed is not None:
                self._table.start_over(self._feed.read(self._table.applied).snapshot)

    def close(self) -> None:
        """Close the connection; memory answers no more."""
        self._refuse("the file was closed")
        if self._feed is not None:
            self._feed.close()
            self._feed = None

    def _catch_up(self) -> None:
        """One synchronous step. The header before the changes: what is committed in between shows (H22)."""
        if self._refusal is not None:
            raise StoreUnavailable(
                "Whether the token is valid cannot be told at the moment. Try again later.", self._refusal
            )
        if self._feed is None:
            self._open()
            return
        header = self._header()
        feed = self._feed.read(self._table.applied)
        self._table.apply(feed.snapshot, feed.changes)
        self._seen = header if is_whole(header) else None

    def _open(self) -> None:
        feed = SqliteFeed(self._file)
        try:
            feed.read(0)
            self._header = WalIndex(self._file).read
            header = self._header()
            self._table.start_over(feed.read(0).snapshot)
        except BaseException:
            feed.close()
            raise
        self._feed = feed
        self._opened = _identity(self._file)
        self._seen = header if is_whole(header) else None

    def _check_file(self) -> None:
        if self._opened is None or _identity(self._file) == self._opened or self._refusal is not None:
            return
        # Whoever answers from the old file knows nothing of what is ended in the new one.
        self._refuse("the database file was replaced or removed")
        _log.error("database_file_replaced", file=str(self._file), consequence="this worker ends")
        signal.raise_signal(signal.SIGTERM)

    def _refuse(self, reason: str) -> None:
        self._seen = None
        self._refusal = reason

    def _forget(self) -> None:
        # A process forked off must not touch the connection it inherited.
        self._refuse("the process was forked")


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
