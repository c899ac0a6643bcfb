"""A service with the contract's login, logout and list of tokens, in memory."""

import json
import secrets
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import httpx

from nightlatch_client.clock import Clock, SystemClock

_LOGIN_FAILED: Final = {"non_field_errors": ["Unable to log in with provided credentials."]}


@dataclass(slots=True)
class _Token:
    id: str
    username: str
    organization_id: str
    created: float
    expires: float | None


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    document: Any = None
    headers: dict[str, str] = field(default_factory=dict)


class FakeServer:
    """Answers as a service with this contract does; every path below /api/v1/ is an API that its tokens
    guard.

    Without a network: `httpx.Client(transport=server.transport)`, AsyncClient alike. Over a real socket:
    `with server.serving() as url:`. `time_to_live`: seconds, None for tokens that never expire. It is a
    stand-in for tests: it hashes nothing, and must not guard anything.
    """

    def __init__(
        self, clock: Clock | None = None, time_to_live: float | None = 30 * 24 * 3600.0, token_limit: int = 20
    ) -> None:
        self.clock = clock or SystemClock()
        self.time_to_live = time_to_live
        self.token_limit = token_limit
        self.logins = 0
        """How many logins made a token."""
        self.attempts = 0
        """How many logins were asked for."""
        self.requests: list[tuple[str, str, int]] = []
        """Method, path and status of each request that was answered."""
        self.transport = httpx.MockTransport(self._answer)
        self._users: dict[tuple[str, str], str] = {}
        self._tokens: dict[str, _Token] = {}
        self._failures: list[_Reply] = []
        self._mutex = threading.RLock()

    def add_user(self, username: str, password: str, organization_id: str) -> None:
        """Make somebody who can log in."""
        self._users[username.lower(), organization_id] = password

    def live_tokens(self) -> int:
        """How many tokens are live."""
        with self._mutex:
            return sum(self._is_live(token) for token in self._tokens.values())

    def revoke_all(self) -> None:
        """End every token."""
        with self._mutex:
            self._tokens.clear()

    def fail_next(self, status: int, times: int = 1, retry_after: int | None = None) -> None:
        """Answer the next requests with this status, whatever they are; as 429 and 503 are, with
        Retry-After.
        """
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        self._failures += [_Reply(status, {"detail": "As the test asked."}, headers)] * times

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serve on a free port of this machine; its URL."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def answer(self, method: str, target: str, headers: httpx.Headers, body: bytes) -> _Reply:
        """The answer to a request."""
        with self._mutex:
            reply = self._failures.pop(0) if self._failures else self._reply(method, target, headers, body)
            self.requests.append((method, target, reply.status))
            return reply

    def _answer(self, request: httpx.Request) -> httpx.Response:
        reply = self.answer(request.method, request.url.raw_path.decode(), request.headers, request.content)
        headers = {"Date": formatdate(self.clock.wall(), usegmt=True), **reply.headers}
        if reply.document is None:
            return httpx.Response(reply.status, headers=headers)
        return httpx.Response(reply.status, headers=headers, json=reply.document)

    def _reply(self, method: str, target: str, headers: httpx.Headers, body: bytes) -> _Reply:
        path = target.partition("?")[0]
        if path == "/api/auth/login/":
            return self._log_in(body) if method == "POST" else _Reply(405, {"detail": "Method not allowed."})
        query = httpx.URL(f"http://x{target}").params
        held = self._whose(headers.get("authorization", ""), query.get("organization_id", ""))
        if held is None:
            return _Reply(401, {"detail": "Invalid token."}, {"WWW-Authenticate": "Token"})
        username, organization_id, token = held
        if method == "POST" and path == "/api/auth/logout/":
            self._tokens.pop(token, None)
            return _Reply(204)
        if method == "POST" and path == "/api/auth/logoutall/":
            self._tokens = {
                text: one
                for text, one in self._tokens.items()
                if (one.username, one.organization_id) != (username, organization_id)
            }
            return _Reply(204)
        if path == "/api/auth/tokens/" and method == "GET":
            rows = [self._row(one) for one in self._live(organization_id).values()]
            return _Reply(200, {"count": len(rows), "next": None, "previous": None, "results": rows})
        if path.startswith("/api/auth/tokens/") and method == "DELETE":
            for text, one in self._live(organization_id).items():
                if one.id == path.split("/")[4]:
                    del self._tokens[text]
                    return _Reply(204)
            return _Reply(404, {"detail": "Not found."})
        if path.startswith("/api/v1/"):
            rows = [{"name": organization_id, "uuid": organization_id}]
            return _Reply(200, {"count": 1, "next": None, "previous": None, "results": rows})
        return _Reply(404, {"detail": "Not found."})

    def _log_in(self, body: bytes) -> _Reply:
        self.attempts += 1
        try:
            asked = json.loads(body)
            username, organization_id = asked["username"].lower(), asked["organization_id"]
            right = self._users.get((username, organization_id)) == asked["password"]
        except (ValueError, KeyError, TypeError, AttributeError):
            return _Reply(400, {"detail": "JSON parse error"})
        if not right:
            return _Reply(400, _LOGIN_FAILED)
        if len(self._live(organization_id)) >= self.token_limit:
            detail = (
                f"The organization has {self.token_limit} live tokens. See and revoke them: /api/auth/tokens/"
            )
            return _Reply(403, {"error": detail, "detail": detail, "code": "token_limit_reached"})
        now = self.clock.wall()
        expires = None if self.time_to_live is None else now + self.time_to_live
        text = secrets.token_hex(32)
        self._tokens[text] = _Token(secrets.token_hex(6), username, organization_id, now, expires)
        self.logins += 1
        return _Reply(200, {"expiry": _time(expires), "token": text})

    def _whose(self, authorization: str, organization_id: str) -> tuple[str, str, str] | None:
        scheme, _, rest = authorization.partition(" ")
        if scheme.lower() == "token" and (token := self._tokens.get(rest.strip())) and self._is_live(token):
            return token.username, token.organization_id, rest.strip()
        if scheme.lower() == "basic":
            username, _, password = b64decode(rest).decode().partition(":")
            if self._users.get((username.lower(), organization_id)) == password:
                return username.lower(), organization_id, ""
        return None

    def _is_live(self, token: _Token) -> bool:
        return token.expires is None or token.expires > self.clock.wall()

    def _live(self, organization_id: str) -> dict[str, _Token]:
        return {
            text: token
            for text, token in self._tokens.items()
            if token.organization_id == organization_id and self._is_live(token)
        }

    def _row(self, token: _Token) -> dict[str, Any]:
        return {
            "id": token.id,
            "name": "",
            "user": token.username,
            "created": _time(token.created),
            "expiry": _time(token.expires),
            "last_used": None,
        }


def _time(moment: float | None) -> str | None:
    return None if moment is None else datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _handler(fake: FakeServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            reply = fake.answer(self.command, self.path, httpx.Headers(list(self.headers.items())), body)
            content = b"" if reply.document is None else json.dumps(reply.document).encode()
            self.send_response_only(reply.status)
            self.send_header("Date", formatdate(fake.clock.wall(), usegmt=True))
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.status != 204:
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _serve  # noqa: N815

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
            """Say nothing: a request line may hold what a test keeps secret."""

    return Handler
