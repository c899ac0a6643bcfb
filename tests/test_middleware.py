"""Middleware on each framework and back end: an API in a server process, a real Nightlatch, real sockets."""

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import pytest

from nightlatch.model.names import Role
from nightlatch.model.token import generate_token
from tests.accounts import Accounts, Person
from tests.conftest import DATABASES, Database, new_database
from tests.guarded import DATABASE_URL, URL
from tests.malformed import malformed_headers
from tests.postgresql import free_port
from tests.serving import Serving
from tests.sockets import Reply, exchange, post_json, request_bytes, with_token
from tests.test_sample_api import running

ROOT = Path(__file__).parent.parent
FRAMEWORKS = {
    "starlette": "asgi",
    "fastapi": "asgi",
    "django": "wsgi",
    "drf": "wsgi",
    "flask": "wsgi",
    "wsgi": "wsgi",
}
WITH_SOCKETS = ("starlette", "fastapi")
BACK_ENDS = ("in process", "over HTTP")
LOGOUTS = int(os.environ.get("TEST_MIDDLEWARE_LOGOUTS", "100"))
"""Logouts watched through each framework and back end."""
CLIENTS = 20
LEASE_MILLISECONDS = 100
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=DATABASES)
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Database:
    """The stores of the verifier are tested elsewhere on every version; here on one of each kind."""
    return new_database(request.param, request, tmp_path_factory.mktemp("database"))


@pytest.fixture(scope="module")
def nightlatch(
    database: Database, accounts: Accounts, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Serving]:
    accounts.sql("UPDATE change_counter SET lease_milliseconds = :lease", lease=LEASE_MILLISECONDS)
    log = tmp_path_factory.mktemp("server") / "log"
    serving = Serving(
        database.url, log, workers=2, use_flush_seconds=0.2, trusted_proxies="127.0.0.1"
    ).wait_ready()
    yield serving
    assert serving.stop() == 0


@pytest.fixture(scope="module")
def person(accounts: Accounts) -> Person:
    return accounts.add_person(token_limit=10_000)


@dataclass
class Api:
    """An API that listens, guarded by middleware."""

    framework: str
    back_end: str
    port: int
    log: Path
    tokens: list[str] = field(default_factory=list)

    def who(self, token: str, organization_id: str | None = None) -> Reply:
        path = "/who/" if organization_id is None else f"/api/v1/{organization_id}/who/"
        return exchange(self.port, "GET", path, with_token(token))


@pytest.fixture(scope="module", params=list(product(FRAMEWORKS, BACK_ENDS)), ids=" ".join)
def api(
    request: pytest.FixtureRequest,
    database: Database,
    nightlatch: Serving,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Api]:
    framework, back_end = request.param
    port, log = free_port(), tmp_path_factory.mktemp("api") / "log"
    of = {DATABASE_URL: database.url}
    if back_end == "over HTTP":
        of = {URL: f"http://127.0.0.1:{nightlatch.port}"}
    command = [sys.executable, "-m", "granian", "--interface", FRAMEWORKS[framework], "--port", str(port)]
    command += ["--blocking-threads", str(CLIENTS)] if FRAMEWORKS[framework] == "wsgi" else []
    with running([*command, f"tests.guarded.on_{framework}:app"], port, log, {**of, "PYTHONPATH": str(ROOT)}):
        made = Api(framework, back_end, port, log)
        yield made
    logged = log.read_text()
    assert not [token for token in made.tokens if token in logged]  # no line holds a token
    assert "Traceback" not in logged, logged


@pytest.fixture
def token(accounts: Accounts, person: Person, api: Api) -> str:
    made = accounts.log_in(person)
    api.tokens.append(made)
    return made


def log_out(nightlatch: Serving, token: str) -> None:
    assert exchange(nightlatch.port, "POST", "/api/auth/logout/", with_token(token)).status == 204


def verify(nightlatch: Serving, headers: list[tuple[str, str]], query: str = "") -> Reply:
    return exchange(nightlatch.port, "GET", f"/api/auth/verify/{query}", headers)


def same(reply: Reply, expected: Reply) -> bool:
    """The same refusal, as far as a client looks at it."""
    names = ("www-authenticate", "retry-after", "content-type")
    return (reply.status, reply.json, [reply.headers.get(name) for name in names]) == (
        expected.status,
        expected.json,
        [expected.headers.get(name) for name in names],
    )


def test_a_live_token_tells_who_it_is(api: Api, nightlatch: Serving, person: Person, token: str) -> None:
    expiry = verify(nightlatch, with_token(token)).headers["x-auth-expiry"]
    for organization_id in (None, person.organization_id, None, person.organization_id):
        reply = api.who(token, organization_id)
        assert reply.status == 200, reply
        told = reply.json
        assert time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(told.pop("expiry"))) == expiry[:19]
        assert told == {
            "organization_id": person.organization_id,
            "email": person.username,
            "role": "owner",
            "token_id": token[4:16],
        }


def test_every_refusal_is_that_of_nightlatch(
    api: Api, nightlatch: Serving, accounts: Accounts, person: Person, token: str
) -> None:
    ended = accounts.log_in(person)
    log_out(nightlatch, ended)
    for value in (*malformed_headers(token, ended), f"Token {generate_token().reveal()}"):
        headers = [("Authorization", value)]
        refused = exchange(api.port, "GET", "/who/", headers)
        if FRAMEWORKS[api.framework] == "wsgi" and not value.isascii():
            assert refused.status == 401  # granian hands it over as an empty one
        else:
            assert same(refused, verify(nightlatch, headers)), value
    assert same(exchange(api.port, "GET", "/who/"), verify(nightlatch, []))
    for path in ("/who/?token=", f"/api/v1/{person.organization_id}/who/?token="):
        assert exchange(api.port, "GET", path + token).status == 401


def test_ht1_two_authorization_headers_are_no_token(api: Api, accounts: Accounts, token: str) -> None:
    live = with_token(token)
    for headers in (
        live + live,
        [*live, ("Authorization", "x")],
        [("Authorization", "x"), *live],
        [*live, ("Authorization", "\xff")],
        [("Authorization", "\xff"), *live],
    ):
        reply = exchange(api.port, "GET", "/who/", headers)
        assert reply.status == 401
        assert reply.headers["www-authenticate"] == "Token"


def test_another_organizations_token_is_refused_with_403(
    api: Api, nightlatch: Serving, accounts: Accounts, person: Person, token: str
) -> None:
    other = accounts.add_person()
    theirs = accounts.log_in(other)
    assert api.who(theirs, other.organization_id).json["email"] == other.username
    for named in (
        other.organization_id,
        person.organization_id.upper() + "x",
        "zz",
        "%0d%0aX-Evil:%20y",
        "ä",
    ):
        path = f"/api/v1/{named}/who/".encode().decode("latin-1")
        refused = exchange(api.port, "GET", path, with_token(token))
        assert same(
            refused, verify(nightlatch, with_token(token), f"?organization_id={other.organization_id}")
        )
    assert api.who(theirs, person.organization_id).status == 403


def test_a_path_names_its_organization_whatever_else_takes_the_parameter_out(
    api: Api, accounts: Accounts, person: Person, token: str
) -> None:
    if api.framework not in ("django", "drf", "flask"):
        return  # the others have no such hooks
    other = accounts.add_person()
    for organization_id, status in ((person.organization_id, 200), (other.organization_id, 403)):
        reply = exchange(api.port, "GET", f"/taken/out/{organization_id}/who/", with_token(token))
        assert reply.status == status


def test_identity_headers_of_the_client_change_nothing(api: Api, person: Person, token: str) -> None:
    forged = [
        ("X-Auth-User", "root@example.com"),
        ("X-Auth-Organization", "zz"),
        ("X-Organization-Id", "zz"),
        ("X-Forwarded-For", "203.0.113.9"),
        ("X-Forwarded-Uri", "/public/"),
        ("Remote-User", "root@example.com"),
    ]
    assert exchange(api.port, "GET", "/who/", forged).status == 401
    reply = exchange(api.port, "GET", "/who/", [*with_token(token), *forged])
    assert reply.json["email"] == person.username


def test_a_token_is_refused_as_soon_as_its_logout_is_answered(
    api: Api, nightlatch: Serving, accounts: Accounts, person: Person
) -> None:
    def once(_: int) -> list[int]:
        token = accounts.log_in(person)
        accepted = [api.who(token).status for _ in range(2)]
        log_out(nightlatch, token)
        return accepted + [api.who(token).status for _ in range(2)]

    with ThreadPoolExecutor(CLIENTS) as pool:
        seen = list(pool.map(once, range(LOGOUTS)))
    assert [statuses for statuses in seen if statuses != [200, 200, 401, 401]] == []


def test_a_token_in_constant_use_is_refused_from_the_answer_on(
    api: Api, nightlatch: Serving, accounts: Accounts, person: Person
) -> None:
    def use(token: str, ended: threading.Event) -> list[tuple[float, int]]:
        seen = []
        while True:
            last, begun = ended.is_set(), time.monotonic()
            seen.append((begun, api.who(token).status))
            if last:
                return seen

    with ThreadPoolExecutor(CLIENTS) as pool:
        for _ in range(5):
            token, ended = accounts.log_in(person), threading.Event()
            using = [pool.submit(use, token, ended) for _ in range(8)]
            try:
                time.sleep(0.05)
                log_out(nightlatch, token)
                answered = time.monotonic()
                time.sleep(0.05)
            finally:
                ended.set()
            seen = [one for each in using for one in each.result()]
            assert {status for _, status in seen} <= {200, 401}
            assert max(begun for begun, status in seen if status == 200) < answered
            assert [status for begun, status in seen if begun > answered]


def test_a_public_path_needs_no_token_and_has_no_caller(api: Api) -> None:
    reply = exchange(api.port, "GET", "/public/")
    assert (reply.status, reply.json) == (200, {"caller": False})
    for path in ("/public", "/public//", "/PUBLIC/", "/public/../who/", "/who/"):
        assert exchange(api.port, "GET", path).status != 200


def test_a_child_token_opens_what_it_was_made_for_and_nothing_else(
    api: Api, nightlatch: Serving, token: str
) -> None:
    def child(**limits: object) -> list[tuple[str, str]]:
        asked = {"methods": ["GET"], "paths": ["/who"], **limits}
        made = post_json(nightlatch.port, "/api/auth/tokens/", asked, with_token(token))
        assert made.status == 201
        api.tokens.append(made.json["token"])
        return with_token(made.json["token"])

    mine = child()
    assert exchange(api.port, "GET", "/who/?x=%2e%2e", mine).status == 200
    for refused in (child(methods=["POST"]), child(paths=["/other"]), child(addresses=["192.0.2.1"])):
        assert exchange(api.port, "GET", "/who/", refused).status == 403
    # What a client claims about its request is not what the request is.
    claimed = [
        ("X-Forwarded-Method", "POST"),
        ("X-Forwarded-Uri", "/other"),
        ("X-Forwarded-For", "192.0.2.1"),
    ]
    for refused in (child(methods=["POST"]), child(paths=["/other"]), child(addresses=["192.0.2.1"])):
        assert exchange(api.port, "GET", "/who/", [*refused, *claimed]).status == 403
    page = child(origin="https://app.example.com")
    assert exchange(api.port, "GET", "/who/", page).status == 403
    for origin, status in (("https://app.example.com", 200), ("https://evil.example.com", 403)):
        assert exchange(api.port, "GET", "/who/", [*page, ("Origin", origin)]).status == status
    for tricky in ("//who/", "/x/../who/", "/who;x/", "/who/%2e%2e/public/", "/who%252f"):
        assert exchange(api.port, "GET", tricky, mine).status in (403, 404), tricky
    for encoded in ("/who%2f", "/%77ho/"):
        # WSGI hands over a decoded path: it is judged by what the application reads.
        expected = (200,) if FRAMEWORKS[api.framework] == "wsgi" else (403, 404)
        assert exchange(api.port, "GET", encoded, mine).status in expected, encoded
    log_out(nightlatch, token)
    assert exchange(api.port, "GET", "/who/", mine).status == 401


def test_no_view_is_called_for_a_preflight_or_a_method_without_a_token(api: Api) -> None:
    preflight = [("Origin", "https://example.com"), ("Access-Control-Request-Method", "GET")]
    reply = exchange(api.port, "OPTIONS", "/who/", preflight)
    if api.framework == "flask":
        assert (reply.status, reply.body) == (200, b"")  # Flask's own answer
        reply = exchange(api.port, "OPTIONS", "/who/")
    assert reply.status == (405 if api.framework == "fastapi" else 401)
    for method in ("HEAD", "POST", "DELETE", "PROPFIND"):
        assert exchange(api.port, method, "/who/").status in (401, 405)


def test_the_clients_address_is_noted_as_the_last(
    api: Api, accounts: Accounts, person: Person, token: str
) -> None:
    if api.back_end == "in process":
        return  # noted alike, and written after five seconds only: tests/test_verifier.py
    with socket.create_connection(
        ("127.0.0.1", api.port), timeout=10, source_address=("127.0.0.2", 0)
    ) as client:
        client.sendall(request_bytes("GET", "/who/", with_token(token)))
        assert b" 200 " in client.recv(65536)
    deadline = time.monotonic() + 15
    while not (rows := accounts.sql("SELECT address FROM token_use WHERE token_id = :id", id=token[4:16])):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert rows[0][0] == "127.0.0.2"


def handshake(api: Api, path: str, headers: list[tuple[str, str]]) -> bytes:
    """What a WebSocket's opening is answered with, and the first bytes after it."""
    upgrade = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ]
    with socket.create_connection(("127.0.0.1", api.port), timeout=10) as connection:
        connection.sendall(request_bytes("GET", path, [*upgrade, *headers]))
        received = b""
        while b"\r\n\r\n" not in received or (b" 101 " in received and b"}" not in received):
            chunk = connection.recv(65536)
            if not chunk:
                break
            received += chunk
        return received


def test_a_websocket_is_opened_with_a_live_token_of_its_organization_only(
    api: Api, nightlatch: Serving, accounts: Accounts, person: Person, token: str
) -> None:
    if api.framework not in WITH_SOCKETS:
        return
    path = f"/api/v1/{person.organization_id}/socket/"
    opened = handshake(api, path, with_token(token))
    assert b" 101 " in opened.split(b"\r\n")[0]
    assert person.username.encode() in opened
    other = accounts.add_person()
    for refused in ([], with_token(generate_token().reveal()), with_token(accounts.log_in(other))):
        assert handshake(api, path, refused).split(b" ")[1] in (b"401", b"403")
    log_out(nightlatch, token)
    assert handshake(api, path, with_token(token)).split(b" ")[1] in (b"401", b"403")


def test_the_openapi_document_tells_that_a_token_is_needed(api: Api) -> None:
    if api.framework != "fastapi":
        return
    document = exchange(api.port, "GET", "/openapi.json").json
    scheme = document["components"]["securitySchemes"]["token"]
    assert (scheme["type"], scheme["in"], scheme["name"]) == ("apiKey", "header", "Authorization")
    assert document["paths"]["/who/"]["get"]["security"] == [{"token": []}]
    assert "security" not in document["paths"]["/public/"]["get"]


def test_permissions_are_by_organization_and_role(
    api: Api, accounts: Accounts, person: Person, token: str
) -> None:
    if api.framework != "drf":
        return
    member = accounts.log_in(accounts.add_person_to(person.organization_id, Role.MEMBER))
    statuses = {
        path: [exchange(api.port, "GET", path, with_token(one)).status for one in (token, member)]
        for path in ("/owner/", "/nowhere/", f"/in/{person.organization_id}/")
    }
    assert list(statuses.values()) == [[200, 403], [403, 403], [200, 200]]
    assert exchange(api.port, "GET", "/owner/").status == 401


def test_without_nightlatch_nobody_is_let_in_and_with_it_everybody_again(
    api: Api, nightlatch: Serving, database: Database, person: Person, token: str
) -> None:
    if api.back_end == "in process" or database.kind != "sqlite":
        return  # the database is what matters there (below), and which it is makes no difference here
    assert api.who(token).status == 200
    workers = nightlatch.worker_pids()
    nightlatch.kill()
    for pid in workers:  # else they would answer until they notice
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    try:
        for asked in (token, generate_token().reveal()):
            reply = api.who(asked)
            assert reply.status == 503
            assert int(reply.headers["retry-after"]) >= 1
            assert "cannot be told at the moment" in reply.json["detail"]
        assert exchange(api.port, "GET", "/who/").status == 401
    finally:
        nightlatch.restart()
        nightlatch.wait_ready()
    assert api.who(token).status == 200
    log_out(nightlatch, token)
    assert api.who(token).status == 401
