"""Health tells within a second what is the case, and costs next to nothing."""

import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nightlatch.store.postgresql_pool import CONNECTIONS_MAX
from tests.accounts import Accounts
from tests.postgresql import PostgresqlServer, embedded_installation
from tests.serving import Serving
from tests.sockets import exchange, post_json

pytestmark = pytest.mark.slow

SECONDS_MAX = 1.0
SLACK_SECONDS = 1.0
"""For a machine that is busy with something else."""


@pytest.fixture(scope="module")
def own_postgresql() -> Iterator[PostgresqlServer]:
    server = PostgresqlServer(embedded_installation())
    yield server
    server.remove()


@pytest.fixture(params=[250, 10_000, 0], ids=["lease", "long lease", "strict"])
def on_postgresql(
    request: pytest.FixtureRequest, own_postgresql: PostgresqlServer, tmp_path: Path
) -> Iterator[tuple[Accounts, Serving]]:
    accounts = Accounts(own_postgresql.create_database())
    accounts.sql(
        "UPDATE change_counter SET lease_milliseconds = :lease, lease_waited_milliseconds = :lease",
        lease=request.param,
    )
    serving = Serving(accounts.database_url, tmp_path / "log").wait_ready(60)
    yield accounts, serving
    assert serving.stop() == 0
    accounts.close()


def seconds_until(port: int, status: int) -> float:
    """How long it takes until readiness is answered with that; liveness and promptness hold all the time."""
    begun = time.monotonic()
    while True:
        asked = time.monotonic()
        seen = exchange(port, "GET", "/health/ready/").status
        now = time.monotonic()
        assert now - asked < SECONDS_MAX + SLACK_SECONDS
        assert exchange(port, "GET", "/health/live/").status == 200
        if seen == status:
            return now - begun
        assert now - begun < 10
        time.sleep(0.02)


def test_a_stopped_database_is_told_within_a_second_and_so_is_its_return(
    own_postgresql: PostgresqlServer, on_postgresql: tuple[Accounts, Serving]
) -> None:
    port = on_postgresql[1].port
    own_postgresql.stop("immediate")
    assert seconds_until(port, 503) < SECONDS_MAX + SLACK_SECONDS
    own_postgresql.start()
    assert seconds_until(port, 200) < SECONDS_MAX + SLACK_SECONDS


def test_a_database_that_takes_no_writes_and_so_no_connections_is_told_and_so_is_its_return(
    own_postgresql: PostgresqlServer, on_postgresql: tuple[Accounts, Serving]
) -> None:
    accounts, serving = on_postgresql
    person = accounts.add_person()
    own_postgresql.configure(default_transaction_read_only="on")
    for _ in range(CONNECTIONS_MAX + 1):  # those that are open can be read from
        assert post_json(serving.port, "/api/auth/login/", person.login_body).status == 503
    assert seconds_until(serving.port, 503) < SECONDS_MAX + SLACK_SECONDS
    own_postgresql.configure()
    assert seconds_until(serving.port, 200) < SECONDS_MAX + SLACK_SECONDS
    assert post_json(serving.port, "/api/auth/login/", person.login_body).status == 200


def test_a_frozen_database_is_told_within_a_second_and_so_is_its_return(
    own_postgresql: PostgresqlServer, on_postgresql: tuple[Accounts, Serving]
) -> None:
    port = on_postgresql[1].port
    processes = own_postgresql.processes()
    for seconds in (0.0, 3.0):
        for pid in processes:
            os.kill(pid, signal.SIGSTOP)
        try:
            assert seconds_until(port, 503) < SECONDS_MAX + SLACK_SECONDS
            time.sleep(seconds)  # after a while connections are given up, and have to be made again
        finally:
            for pid in processes:
                os.kill(pid, signal.SIGCONT)
        assert seconds_until(port, 200) < SECONDS_MAX + SLACK_SECONDS
        processes = own_postgresql.processes()


def test_a_schema_that_does_not_fit_is_told_within_a_second_and_so_is_its_return(
    own_postgresql: PostgresqlServer, on_postgresql: tuple[Accounts, Serving]
) -> None:
    accounts, serving = on_postgresql
    _change_schema(accounts, serving)


def test_on_sqlite_too(tmp_path: Path) -> None:
    accounts = Accounts(f"sqlite:///{tmp_path}/nightlatch.db")
    serving = Serving(accounts.database_url, tmp_path / "log").wait_ready(60)
    other = sqlite3.connect(tmp_path / "nightlatch.db", isolation_level=None)
    try:
        _change_schema(accounts, serving)
        # Another that writes keeps nobody from reading.
        other.execute("BEGIN IMMEDIATE")
        assert exchange(serving.port, "GET", "/health/ready/").status == 200
        other.execute("ROLLBACK")
        other.execute("ALTER TABLE change_counter RENAME TO gone")
        assert seconds_until(serving.port, 503) < SECONDS_MAX + SLACK_SECONDS
        other.execute("ALTER TABLE gone RENAME TO change_counter")
        assert seconds_until(serving.port, 200) < SECONDS_MAX + SLACK_SECONDS
    finally:
        other.close()
        assert serving.stop() == 0
        accounts.close()


def _change_schema(accounts: Accounts, serving: Serving) -> None:
    for wrong, right in (
        ("UPDATE installation SET oldest_server = '99.0'", "UPDATE installation SET oldest_server = '0.1.0'"),
        (
            "UPDATE alembic_version SET version_num = '0001'",
            f"UPDATE alembic_version SET version_num = '{_revision(accounts)}'",
        ),
    ):
        accounts.sql(wrong)
        assert seconds_until(serving.port, 503) < SECONDS_MAX + SLACK_SECONDS
        accounts.sql(right)
        assert seconds_until(serving.port, 200) < SECONDS_MAX + SLACK_SECONDS


def _revision(accounts: Accounts) -> str:
    return str(accounts.sql("SELECT version_num FROM alembic_version")[0][0])


def test_the_revision_that_health_compares_with_is_the_one_that_migrations_lead_to(tmp_path: Path) -> None:
    from nightlatch.store.schema_watch import needed_revision

    accounts = Accounts(f"sqlite:///{tmp_path}/nightlatch.db")
    assert needed_revision() == _revision(accounts)
    accounts.close()


def test_health_is_not_a_round_trip_per_request(on_postgresql: tuple[Accounts, Serving]) -> None:
    accounts, serving = on_postgresql
    before = _transactions(accounts)
    begun = time.monotonic()
    for _ in range(300):
        assert exchange(serving.port, "GET", "/health/ready/").status == 200
    # The feed reads about 13 times a second at most, the schema is read twice: not 300 times more.
    assert _transactions(accounts) - before < 40 + 40 * (time.monotonic() - begun)


def _transactions(accounts: Accounts) -> int:
    accounts.sql("SELECT pg_stat_clear_snapshot()")
    return int(
        accounts.sql("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")[0][0]
    )
