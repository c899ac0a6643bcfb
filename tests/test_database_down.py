"""A database that is gone, restarted or cut off gives 503, never a wrong answer, and is found again."""

import random
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.accounts import Accounts
from tests.postgresql import PostgresqlServer, embedded_installation
from tests.serving import Serving
from tests.sockets import exchange, post_json, with_token
from tests.test_killed_servers import Client

pytestmark = pytest.mark.slow


@pytest.fixture
def own_postgresql() -> Iterator[PostgresqlServer]:
    server = PostgresqlServer(embedded_installation())
    yield server
    server.remove()


def test_a_stopped_database_is_503_and_found_again_when_it_is_back(
    own_postgresql: PostgresqlServer, tmp_path: Path
) -> None:
    accounts = Accounts(own_postgresql.create_database())
    person = accounts.add_person()
    token = accounts.log_in(person)
    serving = Serving(accounts.database_url, tmp_path / "log", workers=2).wait_ready()
    try:
        for mode in ("fast", "immediate"):
            own_postgresql.stop(mode)
            for reply in (
                post_json(serving.port, "/api/auth/login/", person.login_body),
                exchange(serving.port, "GET", "/api/v1/organizations/", with_token(token)),
                exchange(serving.port, "POST", "/api/auth/logout/", with_token(token)),
            ):
                assert reply.status == 503
                assert int(reply.headers["retry-after"]) >= 1
            deadline = time.monotonic() + 2
            while exchange(serving.port, "GET", "/health/ready/").status != 503:
                assert time.monotonic() < deadline
            assert exchange(serving.port, "GET", "/health/live/").status == 200
            own_postgresql.start()
            deadline = time.monotonic() + 10
            while exchange(serving.port, "GET", "/api/v1/organizations/", with_token(token)).status != 200:
                assert time.monotonic() < deadline
        assert post_json(serving.port, "/api/auth/login/", person.login_body).status == 200
    finally:
        serving.stop()
        accounts.close()
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_what_was_acknowledged_holds_when_connections_are_cut(
    own_postgresql: PostgresqlServer, tmp_path: Path
) -> None:
    accounts = Accounts(own_postgresql.create_database())
    serving = Serving(accounts.database_url, tmp_path / "log", workers=2).wait_ready()
    clients = [Client(serving.port, accounts.add_person(token_limit=1000), 80) for _ in range(8)]
    finished = threading.Event()
    cuts = 0

    def cut() -> None:
        nonlocal cuts
        while not finished.wait(random.uniform(0.02, 0.1)):
            rows = accounts.sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'nightlatch' AND state <> 'idle' AND pid <> pg_backend_pid() "
                "LIMIT 2"
            )
            cuts += len(rows)

    cutter = threading.Thread(target=cut)
    cutter.start()
    with ThreadPoolExecutor(len(clients)) as pool:
        for _ in range(20):
            list(pool.map(lambda client: client.run(), clients))
            if cuts >= 5:
                break
            for client in clients:
                client.operations += 40
    finished.set()
    cutter.join()
    try:
        assert cuts >= 5
        for client in clients:
            assert client.unexpected == []
            assert (client.hung, client.cut) == (0, 0)
            # A 503 was answered where it was not known; what was answered otherwise, holds.
            for token in client.live:
                assert _settled_status(serving.port, token) == 200
            for token in client.ended:
                assert _settled_status(serving.port, token) == 401
    finally:
        serving.stop()
        accounts.close()


def _settled_status(port: int, token: str) -> int:
    """A connection that was cut while it was idle is noticed by the first request that gets it."""
    for _ in range(40):
        status = exchange(port, "GET", "/api/v1/organizations/", with_token(token)).status
        if status != 503:
            break
    return status


def test_a_locked_sqlite_file_gives_503_and_other_requests_go_on(tmp_path: Path) -> None:
    accounts = Accounts(f"sqlite:///{tmp_path}/nightlatch.db")
    person = accounts.add_person()
    token = accounts.log_in(person)
    serving = Serving(accounts.database_url, tmp_path / "log").wait_ready()
    other = sqlite3.connect(tmp_path / "nightlatch.db", isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        statuses: list[int] = []
        login = threading.Thread(
            target=lambda: statuses.append(
                post_json(serving.port, "/api/auth/login/", person.login_body).status
            )
        )
        login.start()
        while login.is_alive():
            begin = time.monotonic()
            assert exchange(serving.port, "GET", "/api/v1/organizations/", with_token(token)).status == 200
            assert time.monotonic() - begin < 2
        assert statuses == [503]
        other.execute("ROLLBACK")
        assert post_json(serving.port, "/api/auth/login/", person.login_body).status == 200
    finally:
        other.close()
        serving.stop()
        accounts.close()
