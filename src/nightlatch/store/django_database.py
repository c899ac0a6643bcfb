"""Reading a Django project's database: SQLite, PostgreSQL or MySQL. Nothing is written to it.

All reads of one source are of one moment: a single transaction that only reads.
"""

import asyncio
import os
import re
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol
from urllib.parse import parse_qs, quote, unquote, urlsplit

import asyncpg

from nightlatch.model.errors import CannotStart, InvalidValue, Refused
from nightlatch.store.engine import sqlite_path

Row = Mapping[str, Any]
"""A row by its columns' names; values as the driver has them."""

CONNECT_SECONDS: Final = 10.0
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_$]{0,62}(\.[A-Za-z_][A-Za-z0-9_$]{0,62})?")


class DjangoDatabase(Protocol):
    """An open source."""

    async def rows(self, query: str) -> list[Row]:
        """What a query of the operator's returns. Raises Refused where the source refuses it."""
        ...

    async def table(self, name: str) -> list[Row]:
        """All rows of a table, with all columns. Raises Refused or InvalidValue('table')."""
        ...


@asynccontextmanager
async def open_django_database(url: str) -> AsyncIterator[DjangoDatabase]:
    """The database that the URL names: sqlite:///FILE, postgresql://… or mysql://…

    Raises CannotStart, which does not repeat the URL: it may hold a password.
    """
    scheme = url.partition("://")[0]
    if scheme not in ("sqlite", "postgresql", "postgres", "mysql", "mariadb"):
        raise CannotStart(
            "The source is neither a file of JSON lines nor a URL that begins with sqlite:///, "
            "postgresql:// or mysql://."
        )
    if scheme == "sqlite":
        async with _open_sqlite(url) as sqlite:
            yield sqlite
        return
    _check_url(url)
    if scheme in ("postgresql", "postgres"):
        async with _open_postgresql(url) as postgresql:
            yield postgresql
    else:
        async with _open_mysql(url) as mysql:
            yield mysql


_UNREADABLE: Final = (
    "The source's URL cannot be read. Percent-encode what is special in its password, "
    "as %2F for / and %40 for @."
)


def _check_url(url: str) -> None:
    """Refuse a URL of which a part of the password would be read as something else, and be shown as that."""
    try:
        parts = urlsplit(url)
        login, _, hosts = parts.netloc.rpartition("@")
        for host in hosts.split(","):
            _ = urlsplit(f"//{host}").port
        readable = "@" not in login + parts.path + parts.query + parts.fragment
    except ValueError:
        readable = False
    if not readable:
        raise CannotStart(_UNREADABLE)


def _quoted(name: str, quote_mark: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise InvalidValue(
            "table", "A table's name has letters, digits and underscores: table or schema.table."
        )
    return ".".join(f"{quote_mark}{part}{quote_mark}" for part in name.split("."))


def _refused(error: Exception) -> Refused:
    return Refused(f"The source refused a query: {type(error).__name__}: {error}")


def _no_connection(error: Exception) -> CannotStart:
    if isinstance(error, ValueError | asyncpg.InterfaceError):
        return CannotStart(_UNREADABLE)  # the text has the part that was not understood
    return CannotStart(f"The source cannot be opened: {type(error).__name__}: {error}")


class _Driver:
    """A connection of a driver without asyncio."""

    def __init__(self, connection: Any, quote_mark: str, errors: type[Exception]) -> None:
        self._connection = connection
        self._quote_mark = quote_mark
        self._errors = errors

    async def rows(self, query: str) -> list[Row]:
        return await asyncio.to_thread(self._rows, query)

    async def table(self, name: str) -> list[Row]:
        return await self.rows(f"SELECT * FROM {_quoted(name, self._quote_mark)}")  # noqa: S608 - checked

    def _rows(self, query: str) -> list[Row]:
        try:
            cursor = self._connection.cursor()
            cursor.execute(query)
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        except self._errors as error:
            raise _refused(error) from error


@asynccontextmanager
async def _open_sqlite(url: str) -> AsyncIterator[DjangoDatabase]:
    path = sqlite_path(url)
    if not os.path.exists(path):  # noqa: ASYNC240 - a moment, in a command
        raise CannotStart(f"There is no file {path}.")
    connection = await _connected(
        lambda: sqlite3.connect(
            f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
        ),
        sqlite3.Error,
    )
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("BEGIN")
        yield _Driver(connection, '"', sqlite3.Error)
    finally:
        connection.close()


@asynccontextmanager
async def _open_mysql(url: str) -> AsyncIterator[DjangoDatabase]:
    try:
        import pymysql
    except ImportError:
        raise CannotStart("For a MySQL database run: pip install 'nightlatch[mysql]'") from None
    parts = urlsplit(url)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    place: dict[str, Any] = {"host": parts.hostname or "127.0.0.1", "port": parts.port or 3306}
    if "unix_socket" in options:
        place = {"unix_socket": options["unix_socket"]}
    if "ssl_ca" in options:
        place["ssl_ca"] = options["ssl_ca"]
    connection = await _connected(
        lambda: pymysql.connect(
            **place,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            database=unquote(parts.path.lstrip("/")),
            charset="utf8mb4",
            connect_timeout=int(CONNECT_SECONDS),
            autocommit=True,
        ),
        (pymysql.MySQLError, OSError, ValueError),
    )
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        yield _Driver(connection, "`", pymysql.MySQLError)
    finally:
        connection.close()


async def _connected(connect: Callable[[], Any], errors: Any) -> Any:
    try:
        return await asyncio.to_thread(connect)
    except errors as error:
        raise _no_connection(error) from None


class _Postgresql:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def rows(self, query: str) -> list[Row]:
        try:
            return [dict(record) for record in await self._connection.fetch(query)]
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise _refused(error) from error

    async def table(self, name: str) -> list[Row]:
        return await self.rows(f"SELECT * FROM {_quoted(name, chr(34))}")  # noqa: S608 - checked


@asynccontextmanager
async def _open_postgresql(url: str) -> AsyncIterator[DjangoDatabase]:
    try:
        connection = await asyncpg.connect(
            url,
            timeout=CONNECT_SECONDS,
            server_settings={"application_name": "nightlatch", "timezone": "UTC"},
        )
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise _no_connection(error) from None
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            yield _Postgresql(connection)
    finally:
        await connection.close()
