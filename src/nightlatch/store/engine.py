"""Engines: how each database is opened, and what every connection must be set to."""

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from nightlatch.model.errors import CannotStart
from nightlatch.store.connection import Engine
from nightlatch.store.file_system import check_local
from nightlatch.store.in_use import hold_shared
from nightlatch.store.postgresql_pool import BUSY_SECONDS, PostgresqlPool
from nightlatch.store.primary import connect_to_primary, split_hosts
from nightlatch.store.pulse import WatchedConnection
from nightlatch.store.sqlite_file import SqliteReader, SqliteWriter

_POSTGRESQL_SESSION = {
    "application_name": "nightlatch",
    "timezone": "UTC",
    # The locks of use cases and the triggers count on seeing what others have committed meanwhile.
    "default_transaction_isolation": "read committed",
    # Where a standby is waited for, every commit is, and it is said when one was not (H17, H28).
    "synchronous_commit": "on",
    "client_min_messages": "warning",
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

    `sqlite_file` is None for PostgreSQL; there `connect` makes a connection beside the engines', and
    `renew` cuts theirs. `release` lets go of an SQLite file (store/in_use.py).
    """

    reading: Engine
    writing: Engine
    sqlite_file: Path | None
    connect: Callable[[], Awaitable[WatchedConnection]]
    renew: Callable[[], None]
    release: Callable[[], None]

    async def close(self) -> None:
        """Close every connection, and let others replace the file."""
        try:
            await self.writing.dispose()
            await self.reading.dispose()
        finally:
            self.release()


def open_engines(database_url: str) -> Engines:
    """Engines for `sqlite:///FILE` or `postgresql://…`; connects to nothing yet."""
    if database_url.startswith("sqlite:"):
        return _open_sqlite(sqlite_path(database_url))
    return _open_postgresql(database_url)


def sqlite_path(database_url: str) -> Path:
    """The file that an sqlite URL names: sqlite:///relative or sqlite:////absolute.

    Links are followed, as SQLite does: -wal and -shm are beside the file itself.
    """
    return Path(unquote(urlsplit(database_url).path[1:])).resolve()


def sqlite_url(path: Path) -> str:
    """The URL that names this file; the path is absolute."""
    return f"sqlite:///{quote(str(path))}"


def _open_postgresql(database_url: str) -> Engines:
    urls = split_hosts(database_url)

    async def connect() -> WatchedConnection:
        return await connect_to_primary(urls, _POSTGRESQL_SESSION, BUSY_SECONDS)

    pool = PostgresqlPool(connect)
    return Engines(pool, pool, None, connect, pool.renew, _nothing)


def _open_sqlite(path: Path) -> Engines:
    check_local(path)
    _create_private(path)
    in_use = hold_shared(path)
    return Engines(
        SqliteReader(path), SqliteWriter(path), path, _no_server, _nothing, partial(os.close, in_use)
    )


async def _no_server() -> WatchedConnection:
    raise RuntimeError("a file is not connected to")


def _nothing() -> None:
    """A file is the same for every connection, and a server is let go of by closing them."""


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
