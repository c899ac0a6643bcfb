"""Traces: what a request did and how long, to whoever runs it, and nothing that is nobody's business."""

import base64
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nightlatch.spans import NO_SPANS
from nightlatch.traces import FLUSH_SECONDS_MAX
from nightlatch.usecases.set_password import set_password
from tests.accounts import Accounts, Person
from tests.collector import Collector, Silence, TakenSpan
from tests.conftest import Database
from tests.postgresql import free_port
from tests.serving import Serving
from tests.sockets import exchange, post_json, with_token

pytestmark = pytest.mark.slow

CANARY = "kanarienvogel-8264-passwort"
CALLER = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER_SPAN = "00f067aa0ba902b7"
SERVER_KIND = 2
LOGIN, LOGOUT, TOKENS = "/api/auth/login/", "/api/auth/logout/", "/api/auth/tokens/"


def tracing(database_url: str, log: Path, endpoint: str, **variables: str) -> Serving:
    """A server that sends its traces there, ten times a second, with those of OpenTelemetry's variables."""
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "100", **variables}
    starter = ("/usr/bin/env", *(f"{name}={value}" for name, value in variables.items()))
    return Serving(database_url, log, starter=starter, traces=True).wait_ready(60)


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


@pytest.fixture(scope="module")
def traced(
    database: Database,
    accounts: Accounts,
    collector: Collector,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Serving]:
    serving = tracing(database.url, tmp_path_factory.mktemp("server") / "log", collector.url)
    yield serving
    assert serving.stop() == 0


def _request(collector: Collector, request_id: str) -> TakenSpan:
    return collector.wait(lambda span: span.attributes.get("nightlatch.request_id") == request_id)[0]


def test_a_login_shows_the_hash_and_the_database_below_its_request(
    traced: Serving, accounts: Accounts, collector: Collector, database: Database
) -> None:
    person = accounts.add_person()
    reply = post_json(traced.port, LOGIN, person.login_body)
    request = _request(collector, reply.headers["x-request-id"])
    assert (request.name, request.kind, request.parent, request.failed) == (
        f"POST {LOGIN}", SERVER_KIND, "", False,
    )  # fmt: skip
    assert request.attributes == {
        "http.request.method": "POST",
        "http.route": LOGIN,
        "http.response.status_code": 200,
        "nightlatch.outcome": "ok",
        "nightlatch.request_id": reply.headers["x-request-id"],
    }
    parts = collector.parts(request)
    names = [part.name for part in parts]
    for name in ("database read", "database write", "database commit", "wait for hash", "hash"):
        assert name in names
    system = "sqlite" if database.kind == "sqlite" else "postgresql"
    for part in parts:
        expected = {"db.system.name": system} if part.name.startswith("database") else {}
        assert part.attributes == expected
        assert part.trace_id == request.trace_id
        assert part.seconds <= request.seconds


def test_a_logout_shows_what_it_waits_for(
    traced: Serving, accounts: Accounts, collector: Collector, database: Database
) -> None:
    token = accounts.log_in(accounts.add_person())
    reply = exchange(traced.port, "POST", LOGOUT, with_token(token))
    assert reply.status == 204
    request = _request(collector, reply.headers["x-request-id"])
    waits = [part for part in collector.parts(request) if part.name == "wait for leases"]
    if database.kind == "sqlite":
        assert waits == []
    else:
        assert 0.2 < waits[0].seconds <= request.seconds


@pytest.mark.parametrize(
    ("body", "status", "outcome"),
    [
        ({"password": "another one altogether"}, 400, "credentials_rejected"),
        ({"organization_id": "nosuch"}, 400, "credentials_rejected"),
        ({"time_to_live": 10**8}, 400, "invalid_value"),
        ({"username": ["x"]}, 400, "refused"),
    ],
)
def test_a_refusal_has_its_code_and_is_no_failure(
    body: dict[str, Any], status: int, outcome: str, traced: Serving, accounts: Accounts, collector: Collector
) -> None:
    person = accounts.add_person()
    reply = post_json(traced.port, LOGIN, person.login_body | body)
    request = _request(collector, reply.headers["x-request-id"])
    assert (reply.status, request.attributes["nightlatch.outcome"]) == (status, outcome)
    assert not request.failed
    assert not any(part.failed for part in collector.parts(request))


def test_a_logout_that_finds_no_token_is_no_failure(
    traced: Serving, accounts: Accounts, collector: Collector
) -> None:
    token = accounts.log_in(accounts.add_person())
    replies = [exchange(traced.port, "POST", LOGOUT, with_token(token)) for _ in range(2)]
    assert [reply.status for reply in replies] == [204, 401]
    request = _request(collector, replies[1].headers["x-request-id"])
    assert request.attributes["nightlatch.outcome"] == "token_rejected"
    parts = collector.parts(request)
    assert "database write" in [part.name for part in parts]
    assert not any(span.failed for span in [request, *parts])


def test_a_request_continues_the_trace_of_its_caller(traced: Serving, collector: Collector) -> None:
    headers = [("traceparent", f"00-{CALLER}-{CALLER_SPAN}-01"), ("tracestate", f"vendor={CANARY}")]
    reply = exchange(traced.port, "GET", TOKENS, headers)
    request = _request(collector, reply.headers["x-request-id"])
    assert (request.trace_id, request.parent) == (CALLER, CALLER_SPAN)
    assert CANARY.encode() not in collector.received


@pytest.mark.parametrize(
    "headers",
    [
        [f"00-{CALLER}-{CALLER_SPAN}-01", f"00-{CALLER}-{CALLER_SPAN}-01"],
        [f"00-{CALLER}-{CALLER_SPAN}"],
        [f"00-{'0' * 32}-{CALLER_SPAN}-01"],
        [f"00-{CALLER.upper()}-{CALLER_SPAN}-01"],
        [f"01-{CALLER}-{CALLER_SPAN}-01-{'x' * 10_000}"],
        ["\xff\x01" * 20],
        [""],
    ],
)
def test_a_caller_that_names_no_trace_has_a_new_one(
    headers: list[str], traced: Serving, collector: Collector
) -> None:
    reply = exchange(traced.port, "GET", TOKENS, [("traceparent", value) for value in headers])
    if reply.status == 400 and "x-request-id" not in reply.headers:
        return  # bytes that the HTTP server does not take
    request = _request(collector, reply.headers["x-request-id"])
    assert request.trace_id != CALLER
    assert request.parent == ""


def test_a_trace_that_the_caller_does_not_keep_is_not_sent(traced: Serving, collector: Collector) -> None:
    unkept = "a" * 32
    exchange(traced.port, "GET", TOKENS, [("traceparent", f"00-{unkept}-{CALLER_SPAN}-00")])
    reply = exchange(traced.port, "GET", TOKENS)
    _request(collector, reply.headers["x-request-id"])
    assert unkept not in {span.trace_id for span in collector.spans}


def test_verifications_and_background_work_have_no_spans(
    traced: Serving, accounts: Accounts, collector: Collector
) -> None:
    token = accounts.log_in(accounts.add_person())
    for _ in range(20):
        assert exchange(traced.port, "GET", "/api/auth/verify/", with_token(token)).status == 200
    reply = exchange(traced.port, "GET", TOKENS, with_token(token))
    _request(collector, reply.headers["x-request-id"])
    requests = {span.id: span for span in collector.spans if span.kind == SERVER_KIND}
    assert not [span for span in requests.values() if "verify" in json.dumps(span.attributes)]
    late = [span for span in collector.spans if span.id not in requests and span.parent not in requests]
    assert not late, "a part of nothing"


def test_no_secret_is_in_a_span(
    traced: Serving, accounts: Accounts, collector: Collector, database: Database
) -> None:
    person = accounts.add_person()
    accounts.do(set_password, person.username, CANARY)
    known = Person(person.organization_id, person.username, CANARY)
    token = post_json(traced.port, LOGIN, known.login_body).json["token"]
    pair = base64.b64encode(f"{known.username}:{CANARY}".encode()).decode()
    last = ""
    for value in (f"Token {token}", f"Token {token[:-3]}", f"Bearer {token}", f"Basic {pair}"):
        for method in ("GET", "POST", "DELETE", "OPTIONS", "HEAD", CANARY.upper().replace("-", ""), "A1"):
            for path in (TOKENS, f"{TOKENS}{token}/", f"/{token}", f"/set-password/?link={token}"):
                target = f"{path}{'&' if '?' in path else '?'}organization_id={CANARY}&token={token}"
                headers = [(name, CANARY) for name in ("Cookie", "X-Forwarded-For", "Baggage", "User-Agent")]
                reply = exchange(traced.port, method, target, [("Authorization", value), *headers])
                last = reply.headers.get("x-request-id", last)
    for body in (
        {"username": CANARY},
        {"organization_id": CANARY},
        {"name": token},
        {"time_to_live": CANARY},
    ):
        last = post_json(traced.port, LOGIN, known.login_body | body).headers["x-request-id"]
    _request(collector, last)
    assert len(collector.spans) > 100
    sent = collector.received + repr(collector.headers).encode()
    for secret in (
        token, token[17:], token[:16], CANARY, CANARY.upper().replace("-", ""), pair, known.username,
        known.organization_id, database.url, "SELECT", "INSERT", "127.0.0.1",
    ):  # fmt: skip
        assert secret.encode() not in sent.replace(collector.url[7:].encode(), b""), secret
    assert set(collector.resources[0]) == {"service.name", "service.version"}


def test_the_standard_variables_are_followed_and_the_end_sends_what_waits(tmp_path: Path) -> None:
    collector = Collector()
    accounts = Accounts(f"sqlite:///{tmp_path}/nightlatch.db")
    serving = tracing(
        accounts.database_url,
        tmp_path / "log",
        "http://127.0.0.1:1",
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{collector.url}/elsewhere",
        OTEL_EXPORTER_OTLP_HEADERS="x-key=abc",
        OTEL_SERVICE_NAME="gate",
        OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=staging",
        OTEL_BSP_SCHEDULE_DELAY="60000",
    )
    try:
        assert exchange(serving.port, "GET", TOKENS).status == 401
    finally:
        assert serving.stop() == 0  # which sends what waits
        accounts.close()
        collector.close()
    assert [span.name for span in collector.spans if span.kind == SERVER_KIND][-1] == f"GET {TOKENS}"
    assert collector.resources[0]["service.name"] == "gate"
    assert collector.resources[0]["deployment.environment.name"] == "staging"
    assert {name.lower(): value for name, value in collector.headers[0].items()}["x-key"] == "abc"


@pytest.mark.parametrize("collector_is", ["gone", "silent"])
def test_a_collector_that_is_gone_or_silent_holds_up_nothing(collector_is: str, tmp_path: Path) -> None:
    silence = Silence()
    endpoint = silence.url if collector_is == "silent" else f"http://key-{CANARY}@127.0.0.1:{free_port()}"
    accounts = Accounts(f"sqlite:///{tmp_path}/nightlatch.db")
    person = accounts.add_person(token_limit=1000)
    # In seconds; one that is silent would be waited for at the end.
    timeout = "10" if collector_is == "silent" else "1"
    serving = tracing(accounts.database_url, tmp_path / "log", endpoint, OTEL_EXPORTER_OTLP_TIMEOUT=timeout)
    try:
        slowest = 0.0
        for number in range(150):
            begun = time.monotonic()
            reply = post_json(serving.port, LOGIN, person.login_body)
            assert reply.status == 200
            if number % 2:
                ended = exchange(serving.port, "POST", LOGOUT, with_token(reply.json["token"]))
                assert ended.status == 204
            slowest = max(slowest, time.monotonic() - begun)
        assert slowest < 2.0
        assert collector_is == "gone" or silence.connections, "it was never asked"
    finally:
        begun = time.monotonic()
        assert serving.stop() == 0
        took = time.monotonic() - begun
        accounts.close()
        silence.close()
    assert took < FLUSH_SECONDS_MAX + 4
    log = (tmp_path / "log").read_text()
    assert "Traceback" not in log
    assert CANARY not in log
    assert 1 <= log.count("traces_not_taken") <= 2


def test_a_full_queue_drops_spans_and_neither_grows_nor_logs(tmp_path: Path) -> None:
    silence = Silence()
    accounts = Accounts(f"sqlite:///{tmp_path}/nightlatch.db")
    queue = {"OTEL_BSP_MAX_QUEUE_SIZE": "8", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4"}
    serving = tracing(accounts.database_url, tmp_path / "log", silence.url, **queue)
    try:
        for _ in range(100):
            assert exchange(serving.port, "GET", TOKENS).status == 401
    finally:
        assert serving.stop() == 0
        accounts.close()
        silence.close()
    assert len((tmp_path / "log").read_text().splitlines()) < 20


def _refused_start(folder: Path, **variables: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NIGHTLATCH_")}
    environment |= {
        "NIGHTLATCH_DATABASE_URL": f"sqlite:///{folder}/nightlatch.db",
        "NIGHTLATCH_PORT": str(free_port()),
        "NIGHTLATCH_TRACES": "true",
        **variables,
    }
    done = subprocess.run(
        [sys.executable, "-m", "nightlatch", "serve"], env=environment, capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip
    assert done.returncode != 0
    return done.stderr


def test_traces_without_opentelemetry_stop_the_start_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.abc, sys\n"
        "class Without(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'opentelemetry':\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Without())\n"
    )
    shown = _refused_start(tmp_path, PYTHONPATH=str(tmp_path))
    assert "NIGHTLATCH_TRACES" in shown
    assert "pip install 'nightlatch[traces]'" in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "http/protobuf"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0", "max_queue_size"),
    ],
)
def test_a_variable_that_cannot_be_used_stops_the_start(
    variable: str, value: str, allowed: str, tmp_path: Path
) -> None:
    shown = _refused_start(tmp_path, **{variable: value})
    assert allowed in shown
    assert "Traceback" not in shown


def test_a_server_without_traces_imports_nothing_of_opentelemetry(tmp_path: Path) -> None:
    """Also where the variables are set, as an orchestrator may do for everything it runs."""
    collector = Collector()
    accounts = Accounts(f"sqlite:///{tmp_path}/nightlatch.db")
    starter = ("/usr/bin/env", f"OTEL_EXPORTER_OTLP_ENDPOINT={collector.url}", "OTEL_BSP_SCHEDULE_DELAY=100")
    serving = Serving(accounts.database_url, tmp_path / "log", starter=starter).wait_ready(60)
    try:
        assert exchange(serving.port, "GET", TOKENS).status == 401
        for pid in (serving.process.pid, *serving.worker_pids()):
            assert "google/_upb" not in Path(f"/proc/{pid}/maps").read_text()
    finally:
        assert serving.stop() == 0
        accounts.close()
        collector.close()
    assert collector.spans == []


def test_a_part_costs_next_to_nothing_where_nobody_traces() -> None:
    def seconds() -> float:
        begun = time.perf_counter()
        for _ in range(10_000):
            with NO_SPANS.part("database read", "sqlite"):
                pass
        return (time.perf_counter() - begun) / 10_000

    assert statistics.median(seconds() for _ in range(5)) < 5e-6
