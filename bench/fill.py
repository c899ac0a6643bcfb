"""Filling tables by SQL: people who may log in, and tokens by the million.

The triggers are off meanwhile (they are about what happens to tokens one at a time), and so are the
indexes that would be filled at random. Among the stored digests those of a sample, spread over the
whole table, belong to tokens that can be presented; the others belong to no token.
"""

import asyncio
import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import asyncpg
from tests.accounts import PASSWORD, Accounts, Person

from bench.databases import Database
from nightlatch.model.token import PlainToken, generate_token
from nightlatch.store.columns import POSTGRESQL_NOW, SQLITE_NOW

TOKENS_PER_ORGANIZATION: Final = 20
_FIRST_USER: Final = 1_000_000
"""Beyond the ids that are given out by themselves; user _FIRST_USER + n is of organization bn."""
_DAYS: Final = 30
_COLUMNS: Final = "id, digest, organization_id, user_id, created, expiry"


def _people(now: str) -> tuple[str, str, str]:
    numbers = (
        "WITH RECURSIVE series(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM series WHERE n < {last}) "
    )
    return (
        "INSERT INTO organization (id, name, token_limit, time_to_live, created) "
        f"{numbers} SELECT 'b' || n, 'Bench', {TOKENS_PER_ORGANIZATION}, {_DAYS * 86400}, {now} FROM series",
        'INSERT INTO "user" (id, email, password_hash, created) '
        f"{numbers} SELECT {_FIRST_USER} + n, n || '@example.com', '{{password_hash}}', {now} FROM series",
        "INSERT INTO membership (organization_id, user_id, role, created) "
        f"{numbers} SELECT 'b' || n, {_FIRST_USER} + n, 'member', {now} FROM series",
    )


def add_people(database: Database, accounts: Accounts, count: int, first: int = 1) -> Iterator[Person]:
    """People, each in an organization of their own, whose password is hashed as `accounts` does it.

    The iterator is to be used up once: each has 20 places. `first` numbers them: where there are tokens
    from add_tokens, numbers up to theirs are taken.
    """
    one = accounts.add_person()
    rows = accounts.sql('SELECT password_hash FROM "user" WHERE email = :email', email=one.username)
    last = first + count - 1
    now = SQLITE_NOW if database.file is not None else POSTGRESQL_NOW
    for statement in _people(now):
        accounts.sql(statement.format(first=first, last=last, password_hash=rows[0][0]))
    if database.file is None:
        # As PostgreSQL does by itself within a minute. Without, plans are those for empty tables: a
        # request that joins through them takes 17 times as long.
        accounts.sql("ANALYZE")
    return (Person(f"b{n}", f"{n}@example.com", PASSWORD) for n in range(first, last + 1))


def add_tokens(database: Database, tokens: int, sample: int) -> list[str]:
    """Store so many live tokens, 20 for each of their owners; a sample of them in clear.

    The database must be empty, and nothing else may be connected to it.
    """
    made = [generate_token() for _ in range(min(sample, tokens))]
    if database.file is not None:
        _fill_sqlite(database.file, tokens, made)
    else:
        asyncio.run(_fill_postgresql(database.url, tokens, made))
    return [token.reveal() for token in made]


def write_headers(tokens: Sequence[str], file: Path) -> Path:
    """A file of Authorization headers, for bench.load."""
    file.write_text("".join(f"Token {token}\n" for token in tokens))
    return file


def _owners(tokens: int) -> int:
    return -(-tokens // TOKENS_PER_ORGANIZATION)


def _fill_sqlite(file: Path, tokens: int, sample: Sequence[PlainToken]) -> None:
    connection = sqlite3.connect(file, isolation_level=None)
    try:
        for pragma in (
            "journal_mode = DELETE",
            "journal_mode = OFF",
            "synchronous = OFF",
            "cache_size = -2000000",
        ):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        taken = connection.execute(
            "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL AND "
            "(type = 'trigger' OR (type = 'index' AND tbl_name = 'token')) ORDER BY type"
        ).fetchall()
        for kind, name, _ in taken:
            connection.execute(f"DROP {kind} {name}")
        now = connection.execute(f"SELECT {SQLITE_NOW}").fetchone()[0]
        connection.execute("BEGIN")
        for statement in _people(SQLITE_NOW):
            connection.execute(statement.format(first=1, last=_owners(tokens), password_hash="none"))
        connection.executemany(
            f"INSERT INTO token ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",
            _sqlite_rows(tokens, sample, now),
        )
        connection.execute("COMMIT")
        for _, _, statement in taken:
            connection.execute(statement)
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
    finally:
        connection.close()


def _sqlite_rows(tokens: int, sample: Sequence[PlainToken], now: int) -> Iterator[tuple[Any, ...]]:
    expiry = now + _DAYS * 86400 * 1_000_000
    every = tokens // len(sample)
    for n in range(1, tokens + 1):
        owner = -(-n // TOKENS_PER_ORGANIZATION)
        place, rest = divmod(n, every)
        if rest == 0 and place <= len(sample):
            token = sample[place - 1]
            yield token.id, token.digest.value, f"b{owner}", _FIRST_USER + owner, now, expiry
        else:
            digest = hashlib.sha256(b"filler %d" % n).digest()
            yield f"{n:012d}", digest, f"b{owner}", _FIRST_USER + owner, now, expiry


async def _fill_postgresql(url: str, tokens: int, sample: Sequence[PlainToken]) -> None:
    connection = await asyncpg.connect(url)
    try:
        for setting in (
            "session_replication_role = replica",
            "synchronous_commit = off",
            "maintenance_work_mem = '1GB'",
        ):
            await connection.execute(f"SET {setting}")
        # Less log beside the tables.
        await connection.execute("ALTER SYSTEM SET max_wal_size = '256MB'")
        await connection.execute("SELECT pg_reload_conf()")
        taken = await connection.fetch(
            "SELECT conname AS name, 'CONSTRAINT' AS kind, "
            "format('ALTER TABLE token ADD CONSTRAINT %I %s', conname, pg_get_constraintdef(oid)) AS sql "
            "FROM pg_constraint WHERE conrelid = 'token'::regclass AND contype = 'u' UNION ALL "
            "SELECT indexrelid::regclass::text, 'INDEX', pg_get_indexdef(indexrelid) "
            "FROM pg_index WHERE indrelid = 'token'::regclass AND NOT indisunique"
        )
        for row in taken:
            drop = "ALTER TABLE token DROP CONSTRAINT" if row["kind"] == "CONSTRAINT" else "DROP INDEX"
            await connection.execute(f"{drop} {row['name']}")
        for statement in _people(POSTGRESQL_NOW):
            await connection.execute(statement.format(first=1, last=_owners(tokens), password_hash="none"))
        await connection.execute("CREATE TEMPORARY TABLE sample (n bigint, id text, digest bytea)")
        every = tokens // len(sample)
        await connection.copy_records_to_table(
            "sample",
            records=[(place * every, token.id, token.digest.value) for place, token in enumerate(sample, 1)],
        )
        await connection.execute(
            f"INSERT INTO token ({_COLUMNS}) "
            "SELECT coalesce(sample.id, lpad(n::text, 12, '0')), "
            "coalesce(sample.digest, sha256(convert_to('filler ' || n, 'UTF8'))), "
            f"'b' || owner, {_FIRST_USER} + owner, now(), now() + interval '{_DAYS} days' "
            f"FROM generate_series(1, {tokens}) AS n LEFT JOIN sample USING (n), "
            f"LATERAL (SELECT (n + {TOKENS_PER_ORGANIZATION - 1}) / {TOKENS_PER_ORGANIZATION} AS owner) AS o"
        )
        for row in taken:
            await connection.execute(row["sql"])
        await connection.execute("VACUUM ANALYZE")
        await connection.execute("ALTER SYSTEM RESET max_wal_size")
        await connection.execute("SELECT pg_reload_conf()")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()
