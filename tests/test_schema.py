"""The schema: migrations make what tables.py says, and a server refuses a schema it cannot work with."""

import asyncio
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, func, select

from nightlatch.model.errors import CannotStart
from nightlatch.store import schema
from nightlatch.store.engine import open_engines
from nightlatch.store.tables import metadata
from tests.accounts import Accounts
from tests.conftest import Database

pytestmark = pytest.mark.every_release


def test_migrations_match_the_tables(accounts: Accounts) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_server_default": False})
        return list(compare_metadata(context, metadata))

    async def compare() -> list[object]:
        return await accounts.engines.reading.run_sync(differences)

    assert accounts.run(compare()) == []


def test_migrating_twice_changes_nothing(accounts: Accounts) -> None:
    before, after = accounts.run(schema.migrate(accounts.engines))
    assert before == after


def test_an_empty_database_is_refused_with_the_command_that_helps(tmp_path: Path) -> None:
    engines = open_engines(f"sqlite:///{tmp_path}/empty.db")

    async def check() -> None:
        try:
            await schema.check_schema(engines)
        finally:
            await engines.close()

    with pytest.raises(CannotStart, match="nightlatch migrate"):
        asyncio.run(check())


def test_an_older_schema_is_refused_with_the_command_that_helps(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A server that knows one revision more stands for the next release.
    monkeypatch.setattr(schema, "_head", lambda: "9999")
    with pytest.raises(CannotStart, match="nightlatch migrate"):
        accounts.run(schema.check_schema(accounts.engines))


def test_a_schema_that_needs_a_later_server_is_refused(accounts: Accounts) -> None:
    accounts.sql("UPDATE installation SET oldest_server = '99.0.0'")
    try:
        with pytest.raises(CannotStart, match=r"nightlatch>=99\.0\.0"):
            accounts.run(schema.check_schema(accounts.engines))
        with pytest.raises(CannotStart, match=r"nightlatch>=99\.0\.0"):
            accounts.run(schema.migrate(accounts.engines))
    finally:
        accounts.sql("UPDATE installation SET oldest_server = '0.1.0'")


def test_a_later_schema_that_admits_this_server_is_fine(accounts: Accounts) -> None:
    head = accounts.sql("SELECT version_num FROM alembic_version")[0][0]
    accounts.sql("UPDATE alembic_version SET version_num = '9999'")
    try:
        accounts.run(schema.check_schema(accounts.engines))
        assert accounts.run(schema.migrate(accounts.engines)) == ("9999", "9999")
    finally:
        accounts.sql("UPDATE alembic_version SET version_num = :head", head=head)


def test_two_migrations_at_once_take_turns(database: Database, tmp_path: Path) -> None:
    if database.kind == "sqlite":
        url = f"sqlite:///{tmp_path}/both.db"
    else:
        return  # PostgreSQL's advisory lock is the same for a schema that exists, tested above

    async def both() -> tuple[tuple[str | None, str], ...]:
        one, other = open_engines(url), open_engines(url)
        try:
            return await asyncio.gather(schema.migrate(one), schema.migrate(other))
        finally:
            await one.close()
            await other.close()

    assert sorted(before or "" for before, _ in asyncio.run(both())) == ["", schema._head()]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_database_file_is_for_its_owner_only(accounts: Accounts) -> None:
    path = accounts.engines.sqlite_file
    assert path is not None
    for file in path.parent.glob(f"{path.name}*"):
        assert file.stat().st_mode & 0o077 == 0, file


def test_sc1_a_new_database_holds_nobody_who_could_log_in(database: Database, tmp_path: Path) -> None:
    if database.kind != "sqlite":
        return  # the tables are the same, and those of this module's database are in use
    engines = open_engines(f"sqlite:///{tmp_path}/new.db")

    async def rows() -> dict[str, int]:
        try:
            await schema.migrate(engines)
            async with engines.reading.connect() as connection:
                counts = {}
                for table in metadata.sorted_tables:
                    counted = await connection.execute(select(func.count()).select_from(table))
                    counts[table.name] = counted.scalar_one()
                return counts
        finally:
            await engines.close()

    found = asyncio.run(rows())
    assert {name for name, count in found.items() if count} == {"change_counter", "installation"}
    assert {"user", "organization", "membership", "token", "password_link"} <= set(found)
