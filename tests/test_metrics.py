"""/metrics shows the sum of all workers, whichever answers, and nothing of a person."""

import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.accounts import Accounts
from tests.conftest import Database
from tests.postgresql import free_port
from tests.serving import Serving
from tests.sockets import exchange, post_json, with_token

pytestmark = pytest.mark.slow

VERIFY = "/api/auth/verify/"
WORKERS = 4
REQUESTS = 200
FLUSHED_SECONDS = 2.5
"""A flush and the second that a worker keeps its answer, and some more: the machine may be busy."""


@pytest.fixture
def started(database: Database, accounts: Accounts, tmp_path: Path) -> Iterator[Callable[..., Serving]]:
    servers: list[Serving] = []

    def start(**settings: Any) -> Serving:
        serving = Serving(database.url, tmp_path / "log", **settings)
        servers.append(serving)
        return serving.wait_ready(60)

    yield start
    for serving in servers:
        serving.stop()


def read(port: int) -> dict[str, float]:
    """Samples by name and labels, the labels in alphabetical order."""
    reply = exchange(port, "GET", "/metrics")
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("text/plain; version=")
    lines = (line for line in reply.body.decode().splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def verdicts(samples: dict[str, float], verdict: str, reason: str) -> float:
    """How many there were, from memory and from the database."""
    name = 'nightlatch_verify_verdicts_total{{reason="{}",source="{}",verdict="{}"}}'
    return sum(samples.get(name.format(reason, source, verdict), 0) for source in ("memory", "database"))


def test_sums_are_exact_with_several_workers_and_outlive_a_killed_one(
    started: Callable[..., Serving], accounts: Accounts
) -> None:
    person = accounts.add_person()
    serving = started(workers=WORKERS)
    port = serving.port
    token = post_json(port, "/api/auth/login/", person.login_body).json["token"]
    wrong = post_json(port, "/api/auth/login/", {**person.login_body, "password": "x"})
    assert wrong.status == 400
    never = token[:17] + "0" * (len(token) - 17)
    for _ in range(REQUESTS):
        assert exchange(port, "GET", VERIFY, with_token(token)).status == 200
    for headers, target, status in (
        ([], VERIFY, 401),
        ([("Authorization", "Token a b")], VERIFY, 401),
        (with_token(never), VERIFY, 401),
        (with_token(token), f"{VERIFY}?organization_id=other", 403),
    ):
        assert exchange(port, "GET", target, headers).status == status
    time.sleep(FLUSHED_SECONDS)
    for _ in range(3 * WORKERS):  # whoever answers
        samples = read(port)
        assert verdicts(samples, "accepted", "live") == REQUESTS
        assert verdicts(samples, "refused", "no_token") == 1
        assert verdicts(samples, "refused", "malformed") == 1
        assert verdicts(samples, "refused", "not_live") == 1
        assert verdicts(samples, "refused", "other_organization") == 1
        assert samples['nightlatch_logins_total{outcome="accepted"}'] == 1
        assert samples['nightlatch_logins_total{outcome="credentials_rejected"}'] == 1
        assert samples["nightlatch_password_hashes_total"] == 2
        assert samples["nightlatch_workers"] == WORKERS
        assert samples["nightlatch_known_tokens"] == 1
        login = '{route="/api/auth/login/",status="2xx"}'
        assert samples[f"nightlatch_http_request_duration_seconds_count{login}"] == 1
    victims = serving.worker_pids()
    os.kill(victims[0], signal.SIGKILL)
    deadline = time.monotonic() + 30
    while victims[0] in serving.worker_pids() or len(serving.worker_pids()) < WORKERS:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(FLUSHED_SECONDS)  # no worker shows the one that was killed any more
    while read(port)["nightlatch_workers"] != WORKERS:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    for _ in range(REQUESTS):
        assert exchange(port, "GET", VERIFY, with_token(token)).status == 200
    assert exchange(port, "POST", "/api/auth/logout/", with_token(token)).status == 204
    time.sleep(FLUSHED_SECONDS)
    samples = read(port)
    assert verdicts(samples, "accepted", "live") == 2 * REQUESTS
    assert samples["nightlatch_workers"] == WORKERS
    assert samples["nightlatch_revocation_wait_seconds_count"] == 1
    waited = samples["nightlatch_revocation_wait_seconds_sum"]
    assert (waited < 0.1) if accounts.engines.sqlite_file else (0.27 < waited < 2)


def test_a_second_port_has_metrics_and_health_and_the_first_no_metrics(
    started: Callable[..., Serving],
) -> None:
    second = free_port()
    serving = started(metrics_port=second, workers=2)
    assert exchange(serving.port, "GET", "/metrics").status == 404
    assert read(second)["nightlatch_workers"] >= 1
    for path in ("/health/live/", "/health/ready", "/health/ready/"):
        reply = exchange(second, "GET", path)
        assert (reply.status, reply.json) == (200, {"status": "ok"})
    for path in ("/api/auth/verify/", "/", "/metrics/x"):
        assert exchange(second, "GET", path).status == 404
    assert exchange(second, "POST", "/metrics").status == 501
    assert exchange(second, "HEAD", "/metrics").body == b""
    other = Serving(f"sqlite:///{serving.log.parent}/other.db", serving.log, metrics_port=second)
    assert other.process.wait(60) == 1
    assert "NIGHTLATCH_METRICS_PORT" in serving.log.read_text()


def test_metrics_name_no_person_and_no_path_that_somebody_made_up(
    started: Callable[..., Serving], accounts: Accounts
) -> None:
    person = accounts.add_person()
    token = accounts.log_in(person)
    serving = started()
    for path in (f"/{token}", f"/api/auth/tokens/{token[4:16]}/", "/api/v1/organizations/"):
        exchange(serving.port, "GET", path, with_token(token))
        exchange(serving.port, token[:20], path, with_token(token))
    time.sleep(FLUSHED_SECONDS)
    text = exchange(serving.port, "GET", "/metrics", [("Origin", "https://a.example")]).body.decode()
    for secret in (token, token[:16], person.username, person.organization_id, "127.0.0.1"):
        assert secret not in text
    routes = {line.split('route="')[1].split('"')[0] for line in text.splitlines() if 'route="' in line}
    assert "/api/auth/tokens/{token_id}/" in routes
    assert "other" in routes
    assert len(routes) < 20


def test_pages_of_other_origins_do_not_read_metrics_and_only_get_is_answered(
    started: Callable[..., Serving],
) -> None:
    serving = started()
    reply = exchange(serving.port, "GET", "/metrics", [("Origin", "https://a.example")])
    assert "access-control-allow-origin" not in reply.headers
    assert reply.headers["cache-control"] == "no-store"
    reply = exchange(serving.port, "POST", "/metrics")
    assert (reply.status, reply.headers["allow"]) == (405, "GET, HEAD")


def test_files_are_removed_at_the_end_also_when_the_main_process_is_killed(
    started: Callable[..., Serving],
) -> None:
    for end in (Serving.stop, Serving.kill):
        serving = started()
        variables = Path(f"/proc/{serving.worker_pids()[0]}/environ").read_bytes().split(b"\0")
        (named,) = (each for each in variables if each.startswith(b"PROMETHEUS_MULTIPROC_DIR="))
        made = Path(named.partition(b"=")[2].decode())
        assert made.stat().st_mode & 0o777 == 0o700
        end(serving)
        deadline = time.monotonic() + 10
        while made.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_an_error_that_nobody_expected_is_counted_as_an_answer(tmp_path: Path) -> None:
    accounts = Accounts(f"sqlite:///{tmp_path}/nightlatch.db")
    person = accounts.add_person()
    serving = Serving(accounts.database_url, tmp_path / "log").wait_ready(60)
    try:
        # What the code does not know can stand in the database by force only.
        connection = sqlite3.connect(tmp_path / "nightlatch.db", isolation_level=None)
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("UPDATE organization SET limit_policy = 'unknown'")
        connection.close()
        assert post_json(serving.port, "/api/auth/login/", person.login_body).status == 500
        failed = 'nightlatch_http_request_duration_seconds_count{route="/api/auth/login/",status="5xx"}'
        deadline = time.monotonic() + 30
        while read(serving.port).get(failed) != 1:
            assert time.monotonic() < deadline
            time.sleep(0.2)
    finally:
        serving.stop()
        accounts.close()
