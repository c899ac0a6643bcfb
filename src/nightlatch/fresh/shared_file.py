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
from nightlatch.model.errors import VerdictUnknown
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
        # At once: other connections of this process will be to the file that is there now.
        self._opened = _identity(file)
        self._table = table
        self._elapsed = clock.elapsed_seconds
        self._wall = clock.wall_seconds
        self._clock_offset = self._wall() - self._elapsed()
        self._feed: SqliteFeed | None = None
        self._index: WalIndex | None = None
        self._header: Callable[[], bytes] = bytes
        self._seen: bytes | None = None
        self._refusal: str | None = None
        forget = weakref.WeakMethod(self._forget)
        os.register_at_fork(after_in_child=lambda: (method := forget()) and method())

    def database_seconds_nowait(self) -> float | None:
        """The machine's clock is SQLite's, unless something was committed since the last catching up."""
        return self._wall() if self._header() == self._seen else None

    async def wait_current(self) -> None:
        """Catch up, at once. Raises StoreUnavailable."""
        self.check_heard()

    async def wait_confirmed(self) -> None:
        """Nothing to wait for: there is one file."""

    async def wait_in_force(self) -> None:
        """Nothing to wait for: every process sees the commit before it answers again."""

    def check_heard(self) -> None:
        """Catch up, which is what a request would do. Raises StoreUnavailable."""
        if self.database_seconds_nowait() is None:
            self._catch_up()

    def age_seconds(self) -> float:
        """None: the file is asked each time."""
        return 0.0

    def lapsed_seconds(self) -> float:
        """None: there is no lease."""
        return 0.0

    async def keep(self) -> None:
        """Watch what the header cannot tell: a file replaced by another, and a clock that was set."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            self._check_file()
            self._check_clock()

    def close(self) -> None:
        """Close the connection; memory answers no more."""
        self._refuse("the file was closed")
        if self._feed is not None:
            self._feed.close()
            self._feed = None

    def _catch_up(self) -> None:
        """One synchronous step. The header before the changes: what is committed in between shows (H22)."""
        if self._refusal is not None:
            raise VerdictUnknown(self._refusal)
        feed = self._opened_feed()
        header = self._header()
        read = feed.read(self._table.applied)
        self._table.apply(read.snapshot, read.changes)
        self._table.imported = read.imported
        self._seen = header if is_whole(header) else None

    def _opened_feed(self) -> SqliteFeed:
        if self._feed is None:
            self._feed = SqliteFeed(self._file)
        if self._index is None:
            try:
                self._table.start_over(self._feed.read(0).snapshot)  # SQLite has opened -shm then
                self._index = WalIndex(self._file)
            except OSError as error:
                raise VerdictUnknown(f"{type(error).__name__}: {error}") from error
            self._header = self._index.read
        return self._feed

    def _check_file(self) -> None:
        if self._refusal is not None:
            return
        if _identity(self._file) == self._opened and (self._index is None or self._index.is_in_place()):
            return
        # Whoever answers from the old file knows nothing of what is ended in the new one.
        self._refuse("the database file was replaced or removed")
        _log.error("database_file_replaced", file=str(self._file), consequence="this worker ends")
        signal.raise_signal(signal.SIGTERM)

    def _check_clock(self) -> None:
        before, now = self._clock_offset, self._wall() - self._elapsed()
        if abs(now - before) > CLOCK_STEP_SECONDS and self._feed is not None:
            self._seen = None
            self._table.start_over(self._feed.read(self._table.applied).snapshot)
        self._clock_offset = now

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
