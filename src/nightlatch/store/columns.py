"""Column types and expressions in which the two databases differ."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Integer, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LAST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND

SQLITE_NOW = (
    "(CAST(strftime('%s', 'now') AS INTEGER) * 1000000"
    " + CAST(substr(strftime('%f', 'now'), 4) AS INTEGER) * 1000)"
)
"""Microseconds since 1970 by SQLite's clock, in steps of a millisecond.

SQLite 3.40 (Debian 12) has no unixepoch('subsec'). 'now' is one instant within a statement.
"""

POSTGRESQL_NOW = "clock_timestamp()"
"""Not now(): a transaction that waited for a lock must judge expiry by the time after the wait."""


class Instant(TypeDecorator[datetime]):
    """A moment in UTC: `timestamptz` in PostgreSQL, microseconds since 1970 in SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """An integer where there is no type for moments."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(BigInteger())
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """To the database; the moment must carry a zone."""
        if value is None or dialect.name != "sqlite":
            return value
        return (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """From the database, in UTC."""
        if value is None:
            return None
        if dialect.name == "sqlite":
            # Raw SQL can store what no calendar has: it counts as the last moment there is.
            return _EPOCH + timedelta(microseconds=min(value, _LAST))
        moment: datetime = value
        return moment.astimezone(UTC)


class database_now(FunctionElement[datetime]):  # noqa: N801 - reads as the SQL function it is
    """The database's clock, the only one that expiry is judged by."""

    type = Instant()
    inherit_cache = True


class database_now_plus(FunctionElement[datetime]):  # noqa: N801
    """The database's clock and so many seconds; null seconds give null."""

    type = Instant()
    inherit_cache = True


class plus_seconds(FunctionElement[datetime]):  # noqa: N801
    """A moment and so many seconds, which may be a fraction."""

    type = Instant()
    inherit_cache = True


class later_of(FunctionElement[datetime]):  # noqa: N801
    """The later of two moments."""

    type = Instant()
    inherit_cache = True


class earlier_of(FunctionElement[datetime]):  # noqa: N801
    """The earlier of two moments."""

    type = Instant()
    inherit_cache = True


class day_of(FunctionElement[int]):  # noqa: N801
    """The day, in UTC, of a moment: days since 1970."""

    type = Integer()
    inherit_cache = True


class day_begin(FunctionElement[datetime]):  # noqa: N801
    """The moment at which such a day begins."""

    type = Instant()
    inherit_cache = True


class joined_lines(FunctionElement[str]):  # noqa: N801
    """A column's values, one a line, in any order; null where there are none."""

    type = Text()
    inherit_cache = True


class database_epoch(FunctionElement[str]):  # noqa: N801
    """Which history the database is in: null while it is a standby, which answers nothing.

    A restore renews the first part. On PostgreSQL system identifier and timeline follow: the
    timeline changes with each promotion. It is read off the log position, since the control file
    still shows the old one just after a promotion.
    """

    type = Text()
    inherit_cache = True


@compiles(database_epoch, "sqlite")
def _sqlite_epoch(element: database_epoch, compiler: Any, **options: Any) -> str:
    return "change_counter.epoch"


@compiles(database_epoch, "postgresql")
def _postgresql_epoch(element: database_epoch, compiler: Any, **options: Any) -> str:
    return (
        "CASE WHEN pg_is_in_recovery() THEN NULL ELSE change_counter.epoch"
        " || ' ' || (SELECT system_identifier FROM pg_control_system())"
        " || ' ' || left(pg_walfile_name(pg_current_wal_lsn()), 8) END"
    )


@compiles(joined_lines, "sqlite")
def _sqlite_joined(element: joined_lines, compiler: Any, **options: Any) -> str:
    return f"group_concat({compiler.process(element.clauses, **options)}, char(10))"


@compiles(joined_lines, "postgresql")
def _postgresql_joined(element: joined_lines, compiler: Any, **options: Any) -> str:
    return f"string_agg({compiler.process(element.clauses, **options)}, chr(10))"


@compiles(database_now, "sqlite")
def _sqlite_now(element: database_now, compiler: Any, **options: Any) -> str:
    return SQLITE_NOW


@compiles(database_now, "postgresql")
def _postgresql_now(element: database_now, compiler: Any, **options: Any) -> str:
    return POSTGRESQL_NOW


@compiles(database_now_plus, "sqlite")
def _sqlite_now_plus(element: database_now_plus, compiler: Any, **options: Any) -> str:
    return f"({SQLITE_NOW} + {compiler.process(element.clauses, **options)} * 1000000)"


@compiles(database_now_plus, "postgresql")
def _postgresql_now_plus(element: database_now_plus, compiler: Any, **options: Any) -> str:
    seconds = compiler.process(element.clauses, **options)
    return f"({POSTGRESQL_NOW} + make_interval(secs => {seconds}))"


@compiles(plus_seconds, "sqlite")
def _sqlite_plus(element: plus_seconds, compiler: Any, **options: Any) -> str:
    moment, seconds = (compiler.process(clause, **options) for clause in element.clauses)
    return f"({moment} + CAST({seconds} * 1000000 AS INTEGER))"


@compiles(plus_seconds, "postgresql")
def _postgresql_plus(element: plus_seconds, compiler: Any, **options: Any) -> str:
    moment, seconds = (compiler.process(clause, **options) for clause in element.clauses)
    return f"({moment} + make_interval(secs => {seconds}))"


@compiles(later_of, "sqlite")
def _sqlite_later(element: later_of, compiler: Any, **options: Any) -> str:
    return f"max({compiler.process(element.clauses, **options)})"


@compiles(earlier_of, "sqlite")
def _sqlite_earlier(element: earlier_of, compiler: Any, **options: Any) -> str:
    return f"min({compiler.process(element.clauses, **options)})"


@compiles(earlier_of, "postgresql")
def _postgresql_earlier(element: earlier_of, compiler: Any, **options: Any) -> str:
    return f"least({compiler.process(element.clauses, **options)})"


@compiles(later_of, "postgresql")
def _postgresql_later(element: later_of, compiler: Any, **options: Any) -> str:
    return f"greatest({compiler.process(element.clauses, **options)})"


@compiles(day_of, "sqlite")
def _sqlite_day(element: day_of, compiler: Any, **options: Any) -> str:
    return f"({compiler.process(element.clauses, **options)} / 86400000000)"


@compiles(day_of, "postgresql")
def _postgresql_day(element: day_of, compiler: Any, **options: Any) -> str:
    moment = compiler.process(element.clauses, **options)
    return f"(({moment} AT TIME ZONE 'UTC')::date - DATE '1970-01-01')"


@compiles(day_begin, "sqlite")
def _sqlite_day_begin(element: day_begin, compiler: Any, **options: Any) -> str:
    return f"(({compiler.process(element.clauses, **options)}) * 86400000000)"


@compiles(day_begin, "postgresql")
def _postgresql_day_begin(element: day_begin, compiler: Any, **options: Any) -> str:
    return f"to_timestamp(({compiler.process(element.clauses, **options)}) * 86400.0)"


def row_offset(offset: int) -> int:
    """The offset as the databases take it: beyond 2^31 rows there is nothing to skip to."""
    return min(offset, 2**31 - 1)
