"""deploy/ on proxies as they exist: what reaches the API was verified for its organization (FA2-FA6)."""

import getpass
import itertools
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.accounts import Accounts, Person
from tests.postgresql import free_port
from tests.proxies.proxy import DEPLOY, KINDS, NGINX, Proxy, program
from tests.proxies.readings import IDENTITY, identity, organizations, paths
from tests.proxies.relay import Relay
from tests.proxies.upstream import Upstream
from tests.proxies.wire import Heard, first_answer
from tests.serving import Serving
from tests.sockets import Reply, exchange, parse, request_bytes, send, with_token

pytestmark = pytest.mark.slow

LOGOUTS = int(os.environ.get("TEST_PROXY_LOGOUTS", "100"))
"""Logouts watched through each proxy."""

SECONDS_MAX = 3.0
"""Longer than any answer takes: a proxy that waits for more of a malformed request is not waited for."""

Headers = list[tuple[str, str]]


@dataclass(frozen=True)
class Caller:
    """A person with a token."""

    person: Person
    token: str

    @property
    def organization(self) -> str:
        return self.person.organization_id


@dataclass
class Nightlatch:
    """A real server, and a token in each of two organizations."""

    accounts: Accounts
    serving: Serving
    own: Caller
    other: Caller
    identities: dict[str, dict[str, list[str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for caller in (self.own, self.other):
            answer = exchange(self.serving.port, "GET", "/api/auth/verify/", with_token(caller.token))
            self.identities[caller.organization] = {
                name: [answer.headers[name]] for name in map(str.lower, IDENTITY) if answer.headers[name]
            }


@dataclass
class Protected:
    """A proxy between clients and an API, with a relay where it asks Nightlatch."""

    nightlatch: Nightlatch
    proxy: Proxy
    relay: Relay
    upstream: Upstream

    @property
    def own(self) -> Caller:
        return self.nightlatch.own

    @property
    def other(self) -> Caller:
        return self.nightlatch.other

    def ask(
        self,
        target: str,
        headers: Headers | None = None,
        method: str = "GET",
        body: bytes | None = None,
        token: str | None = None,
    ) -> tuple[Reply | None, list[Heard]]:
        """A request with the own token, or with this one; the answer, and what reached the API."""
        pairs = [*with_token(self.own.token if token is None else token), *(headers or [])]
        return self.send(request_bytes(method, target, pairs, body))

    def send(self, request: bytes) -> tuple[Reply | None, list[Heard]]:
        """The answer, None if the connection was just closed; and what reached the API."""
        self.upstream.take()
        try:
            received = first_answer(self.proxy.port, request, SECONDS_MAX)
        except OSError:
            received = b""
        return parse(received) if received.startswith(b"HTTP/1") else None, self.upstream.take()

    def outcome(self, request: bytes) -> None:
        """Send it, and read until the proxy closes the connection or has been silent for long."""
        with suppress(OSError):
            send(self.proxy.port, request, SECONDS_MAX)

    def check(self, heard: list[Heard], why: object) -> None:
        """Whatever reached the API is the own organization's, and of the own identity."""
        for request in heard:
            assert organizations(request.target) == {self.own.organization}, (why, request)
            assert identity(request) == self.nightlatch.identities[self.own.organization], (why, request)


@pytest.fixture(scope="module")
def nightlatch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nightlatch]:
    folder = tmp_path_factory.mktemp("nightlatch")
    accounts = Accounts(f"sqlite:///{folder}/nightlatch.db")
    serving = Serving(
        accounts.database_url, folder / "log", workers=2, trusted_proxies="127.0.0.1"
    ).wait_ready()
    own, other = (
        Caller(person, accounts.log_in(person)) for person in (accounts.add_person(), accounts.add_person())
    )
    yield Nightlatch(accounts, serving, own, other)
    assert serving.stop() == 0
    accounts.close()


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def protected(
    kind: str, nightlatch: Nightlatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Protected]:
    relay, upstream = Relay(nightlatch.serving.port), Upstream()
    proxy = Proxy(kind, tmp_path_factory.mktemp(kind), relay.port, upstream.port)
    yield Protected(nightlatch, proxy, relay, upstream)
    proxy.stop()
    relay.close()
    upstream.close()


@pytest.fixture
def direct(kind: str, nightlatch: Nightlatch, tmp_path: Path) -> Iterator[tuple[Proxy, Upstream]]:
    """The same proxy with nothing between it and Nightlatch."""
    upstream = Upstream()
    proxy = Proxy(kind, tmp_path, nightlatch.serving.port, upstream.port)
    yield proxy, upstream
    proxy.stop()
    upstream.close()


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_a_request_with_a_token_reaches_the_api_with_the_identity_of_the_answer(
    method: str, protected: Protected
) -> None:
    protected.relay.take()
    target = f"/api/v1/{protected.own.organization}/things/1?of=a%2fb&organization_id=x"
    body = b"name=" + b"x" * 100_000 if method not in ("GET", "HEAD") else None
    reply, heard = protected.ask(target, method=method, body=body)
    assert reply is not None
    assert reply.status == 200, reply
    [request] = heard
    protected.check(heard, method)
    assert (request.method, request.target, request.rest) == (method, target, body or b"")
    assert request.values("authorization") == []
    [asked] = protected.relay.take()
    assert asked.target == "/api/auth/verify/"
    assert asked.values("x-organization-id") == [protected.own.organization]
    assert asked.values("authorization") == [f"Token {protected.own.token}"]
    assert asked.values("content-length") in ([], ["0"])
    assert asked.values("transfer-encoding") == []


def test_who_asks_is_told_to_nightlatch_by_the_proxy_not_by_the_client(protected: Protected) -> None:
    protected.relay.take()
    protected.ask(f"/api/v1/{protected.own.organization}/", [("X-Forwarded-For", "198.51.100.7")])
    [asked] = protected.relay.take()
    hops = ",".join(asked.values("x-forwarded-for")).replace(" ", "").split(",")
    # Envoy writes an address of its own for a client on the same machine.
    assert hops[-1] == "127.0.0.1" or (protected.proxy.kind == "envoy" and hops[-1] != "198.51.100.7")


TOLD = ("X-Forwarded-Method", "X-Forwarded-Uri")
APP = "https://app.example.com"


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE", "OPTIONS"])
def test_which_request_it_is_is_told_to_nightlatch_by_the_proxy_not_by_the_client(
    method: str, protected: Protected
) -> None:
    target = f"/api/v1/{protected.own.organization}/a%20b/c.d/?x=1&y=//%2e"
    lies = [(alias, "LIE") for name in TOLD for alias in aliases(name)]
    listed = ("Connection", "close, X-Forwarded-Method, X-Forwarded-Uri")
    for headers in (
        [],
        *([lie] for lie in lies[:8]),
        *(lies[at : at + 20] for at in range(0, len(lies), 20)),
        [(name, "LIE") for name in TOLD] * 2,
        [listed],
        [(TOLD[0], "LIE"), (TOLD[1], "LIE"), listed],
    ):
        protected.relay.take()
        reply, heard = protected.ask(
            target, [("Origin", APP), *headers], method, b"" if method != "GET" else None
        )
        assert reply is not None
        assert (reply.status, len(heard)) == (200, 1), headers
        [asked] = protected.relay.take()
        assert asked.values("x-forwarded-method") == [method], headers
        assert asked.values("x-forwarded-uri") == [target], headers
        assert asked.values("origin") == [APP]
        assert len(asked.values("x-forwarded-for")) == 1


def test_a_child_token_reaches_the_api_with_requests_of_its_scope_only(protected: Protected) -> None:
    own, other = protected.own.organization, protected.other.organization
    below = f"/api/v1/{own}/uploads"
    child = protected.nightlatch.accounts.issue_child(protected.own.token, ["POST"], [below], origin=APP)
    page = [("Origin", APP)]
    for target in (below, f"{below}/", f"{below}/1?x=1", f"{below}/%C3%A4/a.b"):
        reply, heard = protected.ask(target, page, "POST", b"x", child)
        assert reply is not None
        assert (reply.status, [request.target for request in heard]) == (200, [target])
        assert heard[0].values("x-auth-token-id") == [child[4:16]]
        assert heard[0].values("x-auth-user") == [protected.own.person.username]
    lies = [("X-Forwarded-Method", "POST"), ("X-Forwarded-Uri", below), ("X-Original-Uri", below)]
    for method, target, headers in (
        ("GET", below, page), ("PUT", below, page), ("POST", below, []), ("POST", below, [("Origin",
        "null")]),
        ("POST", f"/api/v1/{own}/", page), ("POST", f"{below}2", page), ("POST", f"/api/v1/{own}/?{below}",
        page),
        ("POST", f"/api/v1/{other}/uploads", page), ("GET", f"/api/v1/{own}/", [*page, *lies]),
        ("GET", f"/api/v1/{own}/", [*page, *lies, ("Connection", "X-Forwarded-Uri, X-Forwarded-Method")]),
        ("GET", below, [*page, ("X-HTTP-Method-Override", "POST"), *lies]),
    ):  # fmt: skip
        reply, heard = protected.ask(target, headers, method, b"x" if method != "GET" else None, child)
        assert reply is not None
        assert (reply.status, heard) == (403, []), (method, target, headers)
    for odd in ODD:
        written = odd.format(own=own, other=other, OTHER=other.upper())
        assert protected.ask(written, page, "POST", b"x", child)[1] == [], odd
        below_odd = written.replace(f"/api/v1/{own}", below, 1)
        _, heard = protected.ask(below_odd, page, "POST", b"x", child)
        assert all(path.startswith(below) for request in heard for path in paths(request.target)), odd


PLAIN = [
    "", "/", "/things", "/things/", "/things/a.b.c", "/a%20b/%C3%A4", "/a+b,c=d:e@f!$&'()*~_-", "/file.",
    "/x?next=//../%2f", "/" + "x" * 4000, "/" + "x/" * 1000, "/" + "%C3%A4" * 500, "/" + "a." * 1000,
]  # fmt: skip


@pytest.mark.parametrize("rest", PLAIN, ids=lambda rest: rest[:24])
def test_plain_paths_reach_the_api_as_they_were_sent(rest: str, protected: Protected) -> None:
    target = f"/api/v1/{protected.own.organization}{rest}"
    reply, heard = protected.ask(target)
    assert reply is not None
    assert (reply.status, [request.target for request in heard]) == (200, [target])
    protected.check(heard, rest)


def aliases(name: str) -> list[str]:
    """Names that one API or another reads as this one."""
    cased = [name, name.lower(), name.upper(), name.swapcase()]
    joined = [name.replace("-", joint) for joint in "_.!#$%&'*+^`|~"]
    first, second, *more = name.split("-")
    mixed = [f"{first}{joint}{second}-{'-'.join(more)}" for joint in "_."]
    mixed += [f"{first}-{second}{joint}{'-'.join(more)}" for joint in "_."]
    return cased + [alias for joint in joined + mixed for alias in (joint, joint.lower(), joint.upper())]


@pytest.mark.parametrize("name", [*IDENTITY, "X-Organization-Id"])
def test_identity_headers_of_the_client_never_reach_the_api(name: str, protected: Protected) -> None:
    target = f"/api/v1/{protected.own.organization}/"
    lie = protected.other.organization
    for alias in aliases(name):
        for headers in ([(alias, lie)], [(alias, lie), (alias, lie)], [(alias, ""), (name, lie)]):
            protected.relay.take()
            reply, heard = protected.ask(target, headers)
            assert reply is not None
            assert reply.status == 200, (alias, reply)
            assert len(heard) == 1
            protected.check(heard, headers)
            [asked] = protected.relay.take()
            assert asked.values("x-organization-id") == [protected.own.organization]
            assert set(identity(asked)) == {"x-organization-id"}
            assert lie not in str(asked)


MALFORMED = [
    "X-Auth-User : {lie}", "X-Auth-User\t: {lie}", " X-Auth-User: {lie}", "A: b\r\n X-Auth-User: {lie}",
    "A: b\nX-Auth-User: {lie}", "A: b\rX-Auth-User: {lie}", "X-Auth-User\x00: {lie}", "X-Auth-Us\xe9r: {lie}",
    "\x00X-Auth-User: {lie}", "X-Auth-User", ": {lie}", "X Auth User: {lie}", "X-Auth-User:{lie}\x00",
    "X\xadAuth-User: {lie}", "X-Auth-User:\r\n {lie}", "X-Auth-User:\r\n\t{lie}",
]  # fmt: skip


@pytest.mark.parametrize("line", MALFORMED)
def test_malformed_headers_do_not_change_the_identity(line: str, protected: Protected) -> None:
    plain = request_bytes("GET", f"/api/v1/{protected.own.organization}/", with_token(protected.own.token))
    lie = line.format(lie=protected.other.organization).encode("latin-1")
    for request in (plain.replace(b"\r\n", b"\r\n" + lie + b"\r\n", 1), plain[:-2] + lie + b"\r\n\r\n"):
        _, heard = protected.send(request)
        protected.check(heard, line)


@pytest.mark.parametrize("name", [*IDENTITY, "X-Organization-Id"])
@pytest.mark.parametrize(
    "listed", ["{}", "close, {}", "keep-alive,{},close", "close\r\nConnection: {}", "TE, {}"]
)
def test_connection_takes_no_identity_header_away(listed: str, name: str, protected: Protected) -> None:
    for written in (name, name.lower()):
        request = request_bytes(
            "GET",
            f"/api/v1/{protected.own.organization}/",
            [*with_token(protected.own.token), ("Connection", listed.format(written)), (name, "lie")],
        )
        reply, heard = protected.send(request)
        assert reply is not None
        assert len(heard) == 1
        protected.check(heard, listed)


def test_connection_cannot_take_the_organization_or_the_token_away_from_verify(protected: Protected) -> None:
    for named in ("X-Organization-Id", "Authorization", "x-organization-id, authorization"):
        reply, heard = protected.ask(
            f"/api/v1/{protected.other.organization}/", [("Connection", f"close, {named}")]
        )
        assert reply is not None
        assert reply.status in (401, 403)
        assert heard == []


def test_trailers_are_not_read_as_headers(protected: Protected) -> None:
    lie = protected.other.organization
    body = f"1\r\nx\r\n0\r\nX-Auth-User: {lie}\r\nX-Auth-Organization: {lie}\r\n\r\n".encode()
    headers = [("Transfer-Encoding", "chunked"), ("Trailer", "X-Auth-User, X-Auth-Organization")]
    _, heard = protected.ask(f"/api/v1/{protected.own.organization}/", headers, "POST", body)
    protected.check(heard, "trailers")
    for request in heard:
        assert lie.encode() not in request.rest


def test_the_organization_of_the_path_counts_not_that_of_a_header(protected: Protected) -> None:
    own, other = protected.own.organization, protected.other.organization
    for headers in (
        [("X-Organization-Id", own)],
        [("X-Organization-Id", own), ("X-Organization-Id", other)],
        [("x_organization_id", own)],
        [],
    ):
        reply, heard = protected.ask(f"/api/v1/{other}/", headers)
        assert reply is not None
        assert (reply.status, heard) == (403, [])


def test_several_authorization_headers_are_refused(protected: Protected) -> None:
    own, other = (f"Token {caller.token}" for caller in (protected.own, protected.other))
    target = f"/api/v1/{protected.own.organization}/"
    for values in ([own, other], [other, own], [own, own], ["Basic eDp5", own], [own, "Basic eDp5"]):
        headers = [("Authorization", value) for value in values]
        reply, heard = protected.send(request_bytes("GET", target, headers))
        assert reply is not None
        assert (reply.status in (400, 401), heard) == (True, []), (values, reply)


def test_no_or_a_wrong_token_is_401_with_the_scheme_and_reaches_nothing(protected: Protected) -> None:
    target = f"/api/v1/{protected.own.organization}/"
    for headers in (
        [],
        with_token("nlt_wrong"),
        [("Authorization", "")],
        [("X-Auth-User", "me@example.com")],
    ):
        reply, heard = protected.send(request_bytes("GET", target, headers))
        assert reply is not None
        assert (reply.status, reply.headers.get("www-authenticate")) == (401, "Token")
        assert heard == []


PREFLIGHT = [("Origin", "https://app.example.com"), ("Access-Control-Request-Method", "DELETE")]


def test_a_preflight_reaches_the_api_without_token_and_without_identity(protected: Protected) -> None:
    protected.relay.take()
    target = f"/api/v1/{protected.own.organization}/things/"
    lies: Headers = [(alias, "lie") for name in IDENTITY for alias in aliases(name)]
    chunks = [lies[at : at + 20] for at in range(0, len(lies), 20)]
    tokens = [with_token(protected.own.token), with_token("nlt_wrong")]
    for headers in ([], *tokens, *chunks, [("Connection", "X-Auth-User, close")]):
        reply, heard = protected.send(request_bytes("OPTIONS", target, [*PREFLIGHT, *headers]))
        assert reply is not None
        assert reply.status == 200
        [request] = heard
        assert (request.method, request.target) == ("OPTIONS", target)
        assert identity(request) == {}, headers
        assert request.values("authorization") == []
        assert request.values("origin") == ["https://app.example.com"]
        assert request.values("access-control-request-method") == ["DELETE"]
    assert protected.relay.take() == []


def test_what_is_not_quite_a_preflight_needs_a_token(protected: Protected) -> None:
    target = f"/api/v1/{protected.own.organization}/"
    origin, method = PREFLIGHT
    for verb, headers in (
        ("OPTIONS", []), ("OPTIONS", [origin]), ("OPTIONS", [method]), ("GET", PREFLIGHT),
        ("POST", PREFLIGHT), ("options", PREFLIGHT), ("OPTIONSX", PREFLIGHT), ("XOPTIONS", PREFLIGHT),
        ("DELETE", PREFLIGHT), ("GET", [*PREFLIGHT, ("X-HTTP-Method-Override", "OPTIONS")]),
    ):  # fmt: skip
        reply, heard = protected.send(request_bytes(verb, target, headers))
        assert heard == [], (verb, headers)
        assert reply is None or 400 <= reply.status < 502, (verb, headers, reply)
    for odd in ("/api/v1/a/..%2fb", "/", "/api/auth/login/", f"/api/v1/{'x' * 33}/"):
        assert protected.send(request_bytes("OPTIONS", odd, PREFLIGHT))[1] == []


STEPS = [
    "", "..", "%2e%2e", "%2E.", ".%2e", "..;", "..;a=b", "%252e%252e", ".", "%2e", "..%00", "..%20",
    "..%09", "%c0%ae%c0%ae",
]  # fmt: skip
JOINTS = [
    "/", "//", "%2f", "%2F", "\\", "%5c", "%5C", ";/", "%3b/", "/;/", "%252f", "%255c", "%00", "%c0%af",
    "/%2f", "?/", "%3f/", "#/", "%23/",
]  # fmt: skip


def test_no_path_is_authorised_as_one_organization_and_read_as_another(protected: Protected) -> None:
    own, other = protected.own.organization, protected.other.organization
    targets = [
        f"/api/v1/{first}{before}{step}{behind}{second}/x"
        for (first, second), before, step, behind in itertools.product(
            ((own, other), (other, own)), JOINTS, STEPS, JOINTS
        )
    ]
    reached = 0
    for target in targets:
        _, heard = protected.ask(target)
        protected.check(heard, target)
        reached += len(heard)
    assert 0 < reached < len(targets) / 2


ODD = [
    "/api/v1//{own}/x", "//api/v1/{own}/x", "/api//v1/{own}/x", "/api/v1/{other}/../{own}/x",
    "/api/v1/./{own}/", "/api/v1/{own}/..", "/api/v1/{own}/../", "/api/v1/{own}/.",
    "/api/v1/{own}/%2e%2e", "/api/v1/{own}/a/../../{other}/", "/api/v1/{own}/a/b/../../../{other}/",
    "/api/v1/{own}/.../{other}", "/api/v1/%2e%2e/v1/{own}/", "/api/v1/{own}%00/", "/api/v1/{own}%0a/",
    "/api/v1/{own}%0d%0aX-Auth-User:%20x/", "/api/v1/{own}%20/", "/api/v1/{own}./", "/api/v1/{own};/",
    "/api/v1/{own};x=/../{other}/", "/api/v1/{own},{other}/", "/api/v1/{own}{other}/",
    "/%61pi/v1/{other}/", "/API/V1/{other}/", "/api/v1/{OTHER}/", "/api/v1%2f{other}/",
    "/api/v1\\{other}\\", "\\api\\v1\\{other}\\", "/x/../api/v1/{other}/",
    "/api/v1/{own}/%u002e%u002e/{other}/", "/api/v1/{own}/%uff0e%uff0e/{other}", "/api/v1/{own}/%/",
    "/api/v1/{own}/%2/", "/api/v1/{own}/%zz/", "/api/v1/{own}/\xe4/",
    "/api/v1/{own}/\xc0\xae\xc0\xae/{other}/", "/api/v1/{own}/\x01/", "/api/v1/{own}/\x7f/",
    "/api/v1/{own}/\x00/../{other}", "/api/v1/{own}/\t../{other}/", "/api/v1/{own}/{{env.PATH}}/",
    "/api/v1/{own}/|/", '/api/v1/{own}/"/', "/api/v1/{own}/<>/", "/api/v1/{own}/^/`",
    "/api/v1/{own}/[..]/", "/api/v1/{own}#/../{other}/", "http://testserver/api/v1/{other}/",
    "http://testserver/api/v1/{own}/../{other}/", "http://{other}/api/v1/{own}/",
    "http:///api/v1/{other}/", "http://testserver\\api/v1/{own}/../{other}/",
    "https://x/api/v1/{own}/..%2f{other}/", "ftp://testserver/api/v1/{other}/", "api/v1/{own}/",
    "?/api/v1/{own}/", "*", "", "/", "/api/v1/", "/api/v1", "/_nightlatch_verify", "/api/auth/verify/",
    "//{other}/api/v1/{own}/", "/api/v1/{own}@{other}/", "/api/v1/{own}:80/", "/api/v1/{own}//",
    "/api/v1/{own}///{other}", "/api/v1/{own}/x//y", "/api/v1/{own}/x/..;/../{other}/",
    "/api/v1/{own}/%e3%80%82%e3%80%82/{other}/", "/api/v1/{own}/%2525/", "/api/v1/{own}/%25/",
    "/api/v1/{own}/%252e%252e%252f",
]  # fmt: skip


@pytest.mark.parametrize("target", ODD)
def test_odd_targets_reach_the_api_as_the_own_organization_or_not_at_all(
    target: str, protected: Protected
) -> None:
    own, other = protected.own.organization, protected.other.organization
    written = target.format(own=own, other=other, OTHER=other.upper())
    for headers in ([], [("X-Original-Url", f"/api/v1/{other}/"), ("X-Rewrite-Url", f"/api/v1/{other}/")]):
        protected.check(protected.ask(written, headers)[1], target)


def test_a_request_hidden_in_another_ones_body_is_a_body(protected: Protected) -> None:
    own, other = protected.own.organization, protected.other.organization
    inner = request_bytes("GET", f"/api/v1/{other}/hidden", [("X-Auth-User", "lie")])
    framings: list[Headers] = [
        [("Content-Length", str(len(inner)))],
        [("Content-Length", "0"), ("Content-Length", str(len(inner)))],
        [("Content-Length", str(len(inner))), ("Transfer-Encoding", "chunked")],
        [("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "identity")],
        [("Transfer-Encoding", "xchunked"), ("Content-Length", "5")],
        [("Transfer-Encoding", "\x0bchunked"), ("Content-Length", "5")],
        [("Transfer_Encoding", "chunked"), ("Content-Length", str(len(inner)))],
        [("Content-Length", f"+{len(inner)}")],
        [("Content-Length", f"{len(inner)}, {len(inner)}")],
        [("Connection", "Content-Length, close"), ("Content-Length", str(len(inner)))],
        [("Connection", "Transfer-Encoding, close"), ("Transfer-Encoding", "chunked")],
    ]
    requests = [
        request_bytes("POST", f"/api/v1/{own}/", [*with_token(protected.own.token), *framing], body)
        for framing in framings
        for body in (inner, b"0\r\n\r\n" + inner)
    ]
    protected.upstream.take()
    # At once, since each is waited for until the connection ends.
    with ThreadPoolExecutor(len(requests)) as pool:
        list(pool.map(protected.outcome, requests))
    protected.check(protected.upstream.take(), "hidden")


def test_each_request_is_verified_anew(protected: Protected) -> None:
    target = f"/api/v1/{protected.own.organization}/"
    protected.relay.take()
    for _ in range(5):
        reply, heard = protected.ask(target, [("Cache-Control", "max-stale=600, only-if-cached")])
        assert reply is not None
        assert (reply.status, len(heard)) == (200, 1)
    assert len(protected.relay.take()) == 5


def canned(status: str, *lines: str) -> bytes:
    """An answer without a body."""
    return "\r\n".join(
        [f"HTTP/1.1 {status}", *lines, "Content-Length: 0", "Connection: close", "", ""]
    ).encode()


BROKEN = {
    "500": canned("500 Internal Server Error"),
    "502": canned("502 Bad Gateway"),
    "503": canned("503 Service Unavailable", "Retry-After: 1"),
    "504": canned("504 Gateway Timeout"),
    "nothing": b"",
    "garbage": b"\x00\x01\x02\r\n\r\n",
}


@pytest.mark.parametrize("answer", BROKEN)
def test_a_broken_nightlatch_lets_nobody_in_and_is_told_as_5xx(answer: str, protected: Protected) -> None:
    try:
        protected.relay.answer = BROKEN[answer]
        for method in ("GET", "POST", "OPTIONS"):
            reply, heard = protected.ask(f"/api/v1/{protected.own.organization}/", method=method)
            assert reply is not None
            assert 500 <= reply.status < 600, (answer, reply)
            assert heard == []
    finally:
        protected.relay.answer = None


@pytest.mark.parametrize("status", ["302 Found", "400 Bad Request", "404 Not Found", "429 Too Many Requests"])
def test_no_other_answer_than_2xx_lets_anybody_in(status: str, protected: Protected) -> None:
    try:
        protected.relay.answer = canned(status, "Location: /", "X-Auth-User: x")
        reply, heard = protected.ask(f"/api/v1/{protected.own.organization}/")
        assert reply is not None
        assert reply.status >= 300
        assert heard == []
    finally:
        protected.relay.answer = None


def test_an_answer_without_identity_leaves_no_room_for_the_clients(protected: Protected) -> None:
    lies = [(name, "lie") for name in IDENTITY]
    try:
        protected.relay.answer = canned("200 OK")
        _, heard = protected.ask(f"/api/v1/{protected.own.organization}/", lies)
        for request in heard:
            assert "lie" not in str(request.headers)
    finally:
        protected.relay.answer = None


def test_while_nightlatch_is_stopped_every_request_is_refused(
    direct: tuple[Proxy, Upstream], nightlatch: Nightlatch
) -> None:
    proxy, upstream = direct
    target, token = f"/api/v1/{nightlatch.own.organization}/", with_token(nightlatch.own.token)
    assert exchange(proxy.port, "GET", target, token).status == 200
    assert len(upstream.take()) == 1
    try:
        assert nightlatch.serving.stop() == 0
        statuses = {exchange(proxy.port, "GET", target, token).status for _ in range(50)}
    finally:
        nightlatch.serving.restart()
        nightlatch.serving.wait_ready()
    assert all(500 <= status < 600 for status in statuses), statuses
    assert upstream.take() == []
    assert exchange(proxy.port, "GET", target, token).status == 200


def test_after_a_logout_no_request_gets_through(
    direct: tuple[Proxy, Upstream], nightlatch: Nightlatch
) -> None:
    proxy, upstream = direct
    target = f"/api/v1/{nightlatch.own.organization}/"
    for _ in range(LOGOUTS):
        token = with_token(nightlatch.accounts.log_in(nightlatch.own.person))
        assert exchange(proxy.port, "GET", target, token).status == 200
        upstream.take()
        assert exchange(nightlatch.serving.port, "POST", "/api/auth/logout/", token).status == 204
        assert exchange(proxy.port, "GET", target, token).status == 401
        assert upstream.take() == []


def test_every_configuration_reads_the_path_by_the_same_expression() -> None:
    files = ["nginx/nightlatch.conf", "caddy/Caddyfile", "envoy/envoy.yaml"]
    files.append("traefik/plugins-local/src/nightlatch/organization/organization.go")
    found = set()
    for file in files:
        [expression] = re.findall(r"\(\?:/\(\?:.*?\)\*/\?", (DEPLOY / file).read_text())
        found.add(expression.replace("\\\\", "\\"))
    assert len(found) == 1


@pytest.mark.parametrize("name", ["nginx", "caddy"])
def test_on_nightlatchs_own_route_as_documented_no_client_tells_the_request_of_a_child_token(
    name: str, nightlatch: Nightlatch, tmp_path: Path
) -> None:
    page = (DEPLOY.parent / "docs" / "proxies.md").read_text("utf-8")
    row = next(line for line in page.splitlines() if line.lower().startswith(f"| {name} | ") and "-M" in line)
    lines = "\n".join(part for part in re.findall(r"`([^`]+)`", row) if "X-Forwarded" in part)
    port, behind = free_port(), f"127.0.0.1:{nightlatch.serving.port}"
    if name == "nginx":
        route = f"server {{ listen {port}; location / {{ proxy_pass http://{behind}; {lines} }} }}"
        config = NGINX.format(folder=tmp_path, user=getpass.getuser()).replace(
            f"include {tmp_path}/nightlatch.conf;", route
        )
        arguments = ["-e", "stderr", "-p", str(tmp_path), "-c", str(tmp_path / "config")]
    else:
        config = f"{{\nadmin off\n}}\nhttp://:{port} {{\nreverse_proxy {behind} {{\n{lines}\n}}\n}}\n"
        arguments = ["run", "--adapter", "caddyfile", "--config", str(tmp_path / "config")]
    (tmp_path / "config").write_text(config)
    child = nightlatch.accounts.issue_child(nightlatch.own.token, ["GET"], ["/a"])
    claimed = [*with_token(child), ("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", "/a")]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    with (tmp_path / "log").open("wb") as log:
        running = subprocess.Popen([program(name), *arguments], env=environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 30
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert running.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        verify = "/api/auth/verify/"
        assert exchange(nightlatch.serving.port, "GET", verify, claimed).status == 200
        assert exchange(port, "GET", verify, claimed).status == 403
        assert exchange(port, "GET", verify, with_token(nightlatch.own.token)).status == 200
    finally:
        running.terminate()
        running.wait(10)
