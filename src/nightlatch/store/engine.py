"""Engines: how each database is opened, and what every connection must be set to."""

import os
import sqlite3
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import asyncpg
from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from nightlatch.model.errors import CannotStart
from nightlatch.store.file_system import check_local
from nightlatch.store.sqlite_connection import SqliteConnection

BUSY_SECONDS = 10.0
"""How long a write waits for its turn: for SQLite's one writer, or for a pooled connection."""

POSTGRESQL_CONNECTIONS_MAX = 10
SQLITE_READERS_MAX = 4
_SWITCH_TRIES = 500
READ_BUSY_SECONDS = 1.0
"""Readers wait for nobody, except while a log left by a crash is recovered."""

_POSTGRESQL_SESSION = {
    "application_name": "nightlatch",
    "timezone": "UTC",
    # A client that was paused inside a transaction must not hold its locks for long (H25).
    "lock_timeout": "8s",
    "idle_in_transaction_session_timeout": "5s",
    "statement_timeout": "10s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}


@dataclass(frozen=True, slots=True)
class Engines:
    """One engine for statements on their own, one for transactions that write.

    `sqlite_file` is None for PostgreSQL; there `connect` makes a connection beside the engines'.
    """

    reading: AsyncEngine
    writing: AsyncEngine
    sqlite_file: Path | None
    connect: Callable[[], Awaitable[Any]]

    async def close(self) -> None:
        """Close every connection."""
        await self.writing.dispose()
        await self.reading.dispose()


def open_engines(database_url: str) -> Engines:
    """Engines for `sqlite:///FILE` or `postgresql://…`; connects to nothing yet."""
    if database_url.startswith("sqlite:"):
        return _open_sqlite(sqlite_path(database_url))
    return _open_postgresql(database_url)


def sqlite_path(database_url: str) -> Path:
    """The file that an sqlite URL names: sqlite:///relative or sqlite:////absolute."""
    return Path(unquote(urlsplit(database_url).path[1:])).absolute()


def _open_postgresql(database_url: str) -> Engines:
    async def connect() -> Any:
        # asyncpg reads the URL itself: it knows libpq's parameters (sslmode, sslrootcert, host=/run/…).
        return await asyncpg.connect(
            database_url, timeout=BUSY_SECONDS, command_timeout=15, server_settings=_POSTGRESQL_SESSION
        )

    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        pool_size=POSTGRESQL_CONNECTIONS_MAX,
        max_overflow=0,
        pool_timeout=BUSY_SECONDS,
        # The last used first: after a restart of the database few stale connections are met.
        pool_use_lifo=True,
        hide_parameters=True,
    )
    return Engines(engine.execution_options(isolation_level="AUTOCOMMIT"), engine, None, connect)


def _open_sqlite(path: Path) -> Engines:
    check_local(path)
    _create_private(path)

    def engine(size: int, in_thread: bool) -> AsyncEngine:
        async def connect(*_: Any, **__: Any) -> SqliteConnection:
            return SqliteConnection(path, BUSY_SECONDS if in_thread else READ_BUSY_SECONDS, in_thread)

        made = create_async_engine(
            f"sqlite+aiosqlite:///{path}",
            pool_size=size,
            max_overflow=0,
            pool_timeout=BUSY_SECONDS,
            connect_args={"async_creator_fn": connect},
            hide_parameters=True,
        )
        event.listen(made.sync_engine, "connect", _set_up_sqlite)
        return made

    writing = engine(1, in_thread=True)
    # The lock is taken at once: a transaction that read first could not be upgraded under load.
    event.listen(writing.sync_engine, "begin", _begin_immediate)
    return Engines(engine(SQLITE_READERS_MAX, in_thread=False), writing, path, _no_server)


async def _no_server() -> Any:
    raise RuntimeError("a file is not connected to")


def _begin_immediate(connection: Connection) -> None:
    adapted = connection.connection.dbapi_connection
    if adapted is None:
        raise RuntimeError("a transaction begins on a connection that is closed")
    adapted.run_async(lambda driver: driver.begin())


def _create_private(path: Path) -> None:
    # SQLite would create the file for everybody to read; -wal and -shm take over its mode.
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise CannotStart(
            f"database_url (NIGHTLATCH_DATABASE_URL): {path} cannot be created: {error.strerror}. "
            "Name a file in an existing folder that this user may write to."
        ) from None


def _write_ahead(cursor: Any) -> str:
    """Switch to a write-ahead log; the journal mode that is in force then.

    A file that two processes create at once refuses one of them at once, without waiting its busy
    time: the switch is tried again until the other has made it.
    """
    for _ in range(_SWITCH_TRIES):
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            time.sleep(0.01)
        else:
            break
    else:
        cursor.execute("PRAGMA journal_mode = WAL")
    return str(cursor.fetchone()[0])


def _set_up_sqlite(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    try:
        mode = _write_ahead(cursor)
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        # Checkpoints are made by one process only, see store/checkpoint.py.
        cursor.execute("PRAGMA wal_autocheckpoint = 0")
        cursor.fetchall()
        cursor.execute("PRAGMA synchronous")
        synchronous = cursor.fetchone()[0]
    finally:
        cursor.close()
    if mode != "wal" or synchronous != 2:
        raise CannotStart(
            "database_url (NIGHTLATCH_DATABASE_URL): the SQLite file cannot be used with a write-ahead log "
            f"and full synchronization (journal_mode {mode}, synchronous {synchronous}). "
            "Put it on a local file system."
        )
