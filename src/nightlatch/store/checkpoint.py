"""One checkpointer for an SQLite file, whatever the number of processes.

SQLite up to 3.51.2 can lose committed pages when a checkpoint begins while another connection's
commit resets the write-ahead log (sqlite.org/wal.html, "the WAL-reset bug"). So connections never
checkpoint on their own (wal_autocheckpoint = 0); the one process that holds a lock on a file
beside the database does, in TRUNCATE mode, which holds the writer's lock meanwhile. The lock goes to
another process when its holder ends, however it ends.
"""

import asyncio
import fcntl
import os
import sqlite3
from pathlib import Path

import structlog
from sqlalchemy.exc import SQLAlchemyError

from nightlatch.store.sqlite_file import SqliteWriter

INTERVAL_SECONDS = 2.0
PAUSE_SECONDS = 30.0
"""After a checkpoint that a reader of old pages kept from its end."""
BUSY_SECONDS = 0.25
"""How long a checkpoint waits for readers; it holds the writer's lock meanwhile."""
LOG_BYTES = 4 * 1024 * 1024
"""The log is written back, and emptied, when it is larger than this."""


async def keep_checkpointing(writer: SqliteWriter, database: Path) -> None:
    """Run until cancelled; does nothing while another process is the checkpointer."""
    lock = os.open(f"{database}-checkpointer", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        while True:
            done = True
            if _is_checkpointer(lock) and _log_bytes(database) > LOG_BYTES:
                done = await _checkpoint(writer)
            await asyncio.sleep(INTERVAL_SECONDS if done else PAUSE_SECONDS)
    finally:
        os.close(lock)


def _is_checkpointer(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _log_bytes(database: Path) -> int:
    try:
        return os.stat(f"{database}-wal").st_size
    except FileNotFoundError:
        return 0


async def _checkpoint(writer: SqliteWriter) -> bool:
    """Whether all of the log was written back."""
    try:
        return await writer.checkpoint(BUSY_SECONDS)
    except (SQLAlchemyError, sqlite3.Error, TimeoutError) as error:
        structlog.get_logger("nightlatch").warning("checkpoint_failed", reason=type(error).__name__)
        return False
