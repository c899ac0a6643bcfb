"""The server as a process: how it stops, what it survives, and that nothing hangs."""

import os
import resource
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.accounts import Accounts
from tests.crowd import login_request
from tests.serving import Serving
from tests.sockets import Reply, exchange, parse, post_json, request_bytes, send, with_token

pytestmark = pytest.mark.slow


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Accounts]:
    accounts = Accounts(f"sqlite:///{tmp_path}/nightlatch.db")
    yield accounts
    accounts.close()


def start(accounts: Accounts, tmp_path: Path, **settings: Any) -> Serving:
    return Serving(accounts.database_url, tmp_path / "log", **settings).wait_ready()


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Accounts, Serving]]:
    """One worker that gives clients a second for their bodies."""
    folder = tmp_path_factory.mktemp("quick")
    accounts = Accounts(f"sqlite:///{folder}/nightlatch.db")
    serving = start(accounts, folder, body_seconds_max=1)
    yield accounts, serving
    assert serving.stop() == 0
    accounts.close()
    assert "Traceback" not in serving.log.read_text()


def test_sigterm_finishes_what_is_under_way_and_flushes(own: Accounts, tmp_path: Path) -> None:
    person = own.add_person()
    token = own.log_in(person)
    serving = start(
        own, tmp_path, use_flush_seconds=3600, password_hash_memory_kib=131072, password_hash_time_cost=8
    )
    exchange(serving.port, "GET", "/api/v1/organizations/", with_token(token))
    replies: list[Reply] = []
    # Its old hash is cheap to check; the new one, with these parameters, takes most of a second.
    login = threading.Thread(
        target=lambda: replies.append(parse(send(serving.port, login_request(person.login_body))))
    )
    login.start()
    time.sleep(0.1)
    begin = time.monotonic()
    assert serving.stop() == 0
    assert time.monotonic() - begin < 8
    login.join()
    assert [reply.status for reply in replies] == [200]
    used = own.sql("SELECT token_id FROM token_use")
    assert [row[0] for row in used] == [token[4:16]]


def test_a_killed_worker_is_replaced_and_the_server_goes_on(own: Accounts, tmp_path: Path) -> None:
    serving = start(own, tmp_path, workers=2)
    try:
        victim = serving.worker_pids()[0]
        os.kill(victim, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while victim in serving.worker_pids() or len(serving.worker_pids()) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert serving.process.poll() is None
        serving.wait_ready()
    finally:
        serving.stop()


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_workers_end_when_the_main_process_is_killed(own: Accounts, tmp_path: Path) -> None:
    serving = start(own, tmp_path, workers=2)
    workers = serving.worker_pids()
    assert len(workers) == 2
    serving.kill()
    deadline = time.monotonic() + 8
    while any(_alive(pid) for pid in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with pytest.raises(ConnectionRefusedError):
        exchange(serving.port, "GET", "/health/live/")


def test_a_login_whose_body_stalls_gets_408_in_its_time(quick: tuple[Accounts, Serving]) -> None:
    begin = time.monotonic()
    request = request_bytes(
        "POST", "/api/auth/login/", [("Content-Type", "application/json"), ("Content-Length", "50")], b"{"
    )
    reply = parse(send(quick[1].port, request))
    assert reply.status == 408
    assert time.monotonic() - begin < 3


def test_a_logout_whose_body_stalls_is_done_and_answered(quick: tuple[Accounts, Serving]) -> None:
    accounts, serving = quick
    token = accounts.log_in(accounts.add_person())
    begin = time.monotonic()
    request = request_bytes("POST", "/api/auth/logout/", [*with_token(token), ("Content-Length", "50")], b"{")
    assert parse(send(serving.port, request)).status == 204
    assert time.monotonic() - begin < 8


def test_a_body_that_drips_does_not_stretch_its_time(quick: tuple[Accounts, Serving]) -> None:
    begin = time.monotonic()
    with socket.create_connection(("127.0.0.1", quick[1].port), 20) as connection:
        headers = [("Content-Type", "application/json"), ("Content-Length", "500")]
        connection.sendall(request_bytes("POST", "/api/auth/login/", headers, b""))
        received = b""
        connection.settimeout(0.2)
        while time.monotonic() - begin < 15:
            try:
                connection.sendall(b" ")
                chunk = connection.recv(65536)
            except TimeoutError:
                continue
            except OSError:
                break
            received += chunk
            if not chunk:
                break
    assert parse(received).status == 408
    assert time.monotonic() - begin < 3


def test_idle_connections_do_not_starve_a_worker(quick: tuple[Accounts, Serving]) -> None:
    serving = quick[1]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 8192)), hard))
    idle = []
    try:
        for number in range(1500):
            connection = socket.create_connection(("127.0.0.1", serving.port), 10)
            if number % 2:
                connection.sendall(b"GET /health/live/ HTTP/1.1\r\nHost: x\r\nX-Slow: ")
            idle.append(connection)
        begin = time.monotonic()
        assert exchange(serving.port, "GET", "/health/ready/").status == 200
        assert time.monotonic() - begin < 2
    finally:
        for connection in idle:
            connection.close()


def _chunked(body: bytes) -> bytes:
    chunks = b"".join(
        b"%x\r\n%b\r\n" % (len(body[at : at + 9000]), body[at : at + 9000])
        for at in range(0, len(body), 9000)
    )
    return chunks + b"0\r\n\r\n"


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize(
    ("size", "status"),
    [(65_536, 400), (65_537, 413), (2_000_000, 413), (7_000_000, 413)],
)
def test_the_body_limit_is_exact_and_the_client_reads_its_413(
    size: int, status: int, chunked: bool, quick: tuple[Accounts, Serving]
) -> None:
    body = b'{"username": "' + b"a" * (size - 16) + b'"}'
    assert len(body) == size
    json_type = [("Content-Type", "application/json")]
    if chunked:
        request = request_bytes(
            "POST", "/api/auth/login/", [*json_type, ("Transfer-Encoding", "chunked")], _chunked(body)
        )
    else:
        request = request_bytes("POST", "/api/auth/login/", json_type, body)
    reply = parse(send(quick[1].port, request))
    assert reply.status == status
    expected = {"detail"} if status == 413 else {"password", "organization_id"}
    assert reply.json.keys() == expected


@pytest.mark.parametrize("size", [8_000, 15_000, 17_000, 100_000])
def test_headers_over_16_kib_are_refused(size: int, quick: tuple[Accounts, Serving]) -> None:
    try:
        received = send(quick[1].port, request_bytes("GET", "/health/live/", [("X-Long", "a" * size)]))
    except ConnectionResetError:
        assert size == 100_000
        return
    status = parse(received).status if received else 431
    assert status == (200 if size < 16_000 else 431)


JSON = b'{"username": "a", "password": "b", "organization_id": "c"}'
LOGIN = (
    b"POST /api/auth/login/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
)
GET = b"GET /api/v1/organizations/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
MALFORMED = {
    "nothing": b"\r\n\r\n",
    "no request line": b"hello\r\n\r\n",
    "binary": bytes(range(256)) + b"\r\n\r\n",
    "TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100,
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/9.9": b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
    "HTTP/1.0": b"GET /api/v1/organizations/ HTTP/1.0\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
    "two hosts": GET + b"Host: y\r\n\r\n",
    "NUL in a header": GET + b"X-A: a\x00b\r\n\r\n",
    "NUL in the path": b"GET /a\x00b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "non-ASCII path": b"GET /\xff\xfe/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "non-ASCII header name": GET + b"X-\xff: a\r\n\r\n",
    "space before the colon": GET + b"X-A : a\r\n\r\n",
    "no colon": GET + b"X-A\r\n\r\n",
    "folded header": GET + b"X-A: a\r\n b\r\n\r\n",
    "bare LF": GET.replace(b"\r\n", b"\n") + b"\n",
    "bare CR": GET + b"X-A: a\rb\r\n\r\n",
    "absolute target": b"GET http://y/api/v1/organizations/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "asterisk": b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "CONNECT": b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "upgrade": GET + b"Connection: upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n",
    "long path": b"GET /" + b"a" * 12_000 + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "long method": b"A" * 500 + b" / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "bad escapes": b"GET /%zz%/%ff%00?%ff=%zz&limit=%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "NUL in an id": b"DELETE /api/auth/tokens/%00%ff/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "escaped slash": b"GET /api%2Fv1%2Forganizations%2F HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "dots": b"GET /api/auth/../v1/organizations/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "length and chunked": LOGIN + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": LOGIN + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    "the same length twice": LOGIN + b"Content-Length: %d\r\n" % len(JSON) * 2 + b"\r\n" + JSON,
    "negative length": LOGIN + b"Content-Length: -5\r\n\r\nabc",
    "length with a sign": LOGIN + b"Content-Length: +58\r\n\r\n" + JSON,
    "length no number": LOGIN + b"Content-Length: abc\r\n\r\nabc",
    "huge length": LOGIN + b"Content-Length: 99999999999999999999999\r\n\r\nabc",
    "length of exabytes": LOGIN + b"Content-Length: 9223372036854775807\r\n\r\nabc",
    "unknown transfer encoding": LOGIN + b"Transfer-Encoding: gzip\r\n\r\nabc",
    "bad chunk size": LOGIN + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
    "chunk too short": LOGIN + b"Transfer-Encoding: chunked\r\n\r\n2\r\nabcdef\r\n0\r\n\r\n",
    "huge chunk": LOGIN + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nabc",
    "chunk extension": LOGIN + b"Transfer-Encoding: chunked\r\n\r\n3a;a=b\r\n" + JSON + b"\r\n0\r\n\r\n",
    "trailers": LOGIN + b"Transfer-Encoding: chunked\r\n\r\n3a\r\n" + JSON + b"\r\n0\r\nX-A: b\r\n\r\n",
    "expectation": LOGIN + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(JSON) + JSON,
    "unknown expectation": LOGIN + b"Expect: the-unexpected\r\nContent-Length: %d\r\n\r\n" % len(JSON) + JSON,
    "gzip": LOGIN + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00",
    "non-ASCII content type": LOGIN.replace(b"application/json", b"\xff/\xfe; charset=\xff")
    + b"Content-Length: 3\r\n\r\nabc",
    "non-ASCII authorization": GET + b"Authorization: Token \xff\xfe\x80\r\n\r\n",
    "two requests at once": GET.replace(b"close", b"keep-alive") + b"\r\n" + GET + b"\r\n",
    "odd origin": GET + b"Origin: \xff\r\nAccess-Control-Request-Method: \xff\r\n\r\n",
    "preflight with odd headers": LOGIN.replace(b"POST", b"OPTIONS")
    + b"Origin: a\r\nAccess-Control-Request-Method: FOO\r\nAccess-Control-Request-Headers: \xff,,\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("case", MALFORMED)
def test_no_bytes_give_5xx_or_hang(case: str, quick: tuple[Accounts, Serving]) -> None:
    begin = time.monotonic()
    with socket.create_connection(("127.0.0.1", quick[1].port), 20) as connection:
        connection.sendall(MALFORMED[case])
        # Whoever sends no more says so: the server must not wait for what does not come.
        connection.shutdown(socket.SHUT_WR)
        received = b""
        try:
            while chunk := connection.recv(65536):
                received += chunk
        except ConnectionResetError:
            pass
    assert time.monotonic() - begin < 15
    if received:
        assert 100 <= parse(received).status < 500, received[:300]
    assert exchange(quick[1].port, "GET", "/health/live/").status == 200


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "FOO", "get", "post")
PATHS = (
    "/", "/docs", "/openapi.json", "/health/live/", "/health/ready", "/api/auth/login", "/api/auth/logout/",
    "/api/auth/logoutall/", "/api/auth/tokens/", "/api/auth/tokens/abcdefghijkl/", "/api/v1/organizations/",
    "/docs/assets/swagger-ui.css", "/docs/assets/../../x", "/docs/start.js", "//", "/api/auth/tokens//",
)  # fmt: skip


def test_every_method_on_every_path_has_its_answer(quick: tuple[Accounts, Serving]) -> None:
    accounts, serving = quick
    for path in PATHS:
        for method in METHODS:
            for headers in (
                [],
                with_token(accounts.log_in(accounts.add_person())) if method == "PUT" else [],
            ):
                reply = exchange(serving.port, method, path, headers)
                assert reply.status < 500, (method, path)
                assert reply.headers["x-request-id"]
                if method == "HEAD":
                    assert reply.body == b""
                if reply.status == 405 and path.startswith(("/api", "/health")):
                    assert reply.headers["allow"]
                if reply.status == 401:
                    assert reply.headers["www-authenticate"] == "Token"


def test_pages_of_any_origin_may_call_the_api_unless_told_otherwise(own: Accounts, tmp_path: Path) -> None:
    origin = [("Origin", "https://app.example.com")]
    preflight = [
        *origin,
        ("Access-Control-Request-Method", "DELETE"),
        ("Access-Control-Request-Headers", "authorization, content-type"),
    ]
    for setting, allowed in (
        ("*", True),
        ("https://app.example.com", True),
        ("https://b.example", False),
        ("", False),
    ):
        serving = start(own, tmp_path, cors_origins=setting)
        try:
            reply = post_json(serving.port, "/api/auth/login/", {}, origin)
            assert ("access-control-allow-origin" in reply.headers) is allowed
            assert "access-control-allow-credentials" not in reply.headers
            reply = exchange(serving.port, "OPTIONS", "/api/auth/tokens/abcdefghijkl/", preflight)
            assert ("access-control-allow-origin" in reply.headers) is allowed
            if allowed:
                assert reply.status == 200
                assert "DELETE" in reply.headers["access-control-allow-methods"]
                assert "authorization" in reply.headers["access-control-allow-headers"].lower()
        finally:
            serving.stop()


def test_the_log_of_sqlite_is_written_back_while_the_server_runs(own: Accounts, tmp_path: Path) -> None:
    serving = start(own, tmp_path, workers=2)
    log = tmp_path / "nightlatch.db-wal"
    try:
        own.sql("CREATE TABLE ballast (content BLOB)")
        salts = log.read_bytes()[16:24]
        deadline = time.monotonic() + 20
        largest = 0
        # The log begins anew, with other salts, once all of it has been written back.
        while log.read_bytes()[16:24] == salts:
            largest = max(largest, log.stat().st_size)
            own.sql("INSERT INTO ballast VALUES (randomblob(200000))")
            assert time.monotonic() < deadline
        assert log.stat().st_size < 4 * 1024 * 1024 < largest
    finally:
        serving.stop()
