"""Puts the contract's cases to a service, from outside, with the credentials of one user.

It is careful: each token that it causes to be made is ended again, also when a case fails; it makes a
handful of failed logins, and none that would throttle the account; what would disturb others is done only if
asked for.
"""

import base64
import contextlib
import http.client
import json
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from nightlatch_client.conformance.cases import (
    Given,
    Request,
    contract_cases,
    differences,
    request_of,
)
from nightlatch_client.conformance.wire import Received, exchange
from nightlatch_client.errors import LoginError, Overloaded
from nightlatch_client.origin import origin_of, refuse_plain_http
from nightlatch_client.secret import Secret
from nightlatch_client.service import error_in
from nightlatch_client.steps import Answer

_LOGINS_MAX: Final = 1000
_PLACEHOLDERS: Final = (
    "other_organization_id",
    "other_token_id",
    "token_id",
    "token",
    "TOKEN",
    "token[:-1]",
)
_LOGIN_PATHS: Final = ("/api/auth/login/", "/api/auth/login")

SKIPPED: Final = {
    "a disabled user": "nobody outside can disable a user",
    "a live token whose user was then disabled": "nobody outside can disable a user",
    "an expired token": "nobody outside can let a token expire",
    "an organization with 20 tokens, one of them expired": "nobody outside can let a token expire",
    "a user whose password was guessed at too often": "would have the account throttled",
    "nobody, guessed at too often": "would have this address throttled",
    "a user whose password was guessed at too often, and who has logged in from here before": (
        "would have the account throttled"
    ),
}
_FULL: Final = "an organization with 20 live tokens"
_DISRUPTIVE_FULL: Final = "would use up all tokens of the organization for a moment (--disruptive)"
_DISRUPTIVE_ALL: Final = "would end the user's tokens in other programs (--disruptive)"


class CannotRun(LoginError):
    """The kit could not begin: the credentials do not fit, or no token can be had."""

    code = "cannot_run"


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a case; `why`: what differs, or the reason for skipping it."""

    name: str
    outcome: Literal["pass", "fail", "skip"]
    why: str = ""


@dataclass
class Kit:
    """`url`, `username`, `password` and `organization_id`: of a user made for this; `other_organization_id`:
    of one that the user does not belong to. `disruptive`: also what others on the service would notice.
    """

    url: str
    username: str
    organization_id: str
    password: str = field(repr=False)
    other_organization_id: str = ""
    disruptive: bool = False
    plain_http: bool = False
    context: ssl.SSLContext = field(default_factory=ssl.create_default_context, repr=False)
    _made: list[str] = field(default_factory=list, repr=False)

    def run(self) -> Iterator[Result]:
        """Each case's result, as it comes. Raises CannotRun, PlainHttpRefused, ValueError and OSError."""
        self._origin = origin_of(self.url)
        refuse_plain_http(self._origin, self.plain_http)
        self._prefix = "/" + self.url.partition("://")[2].partition("/")[2].strip("/")
        self._prefix = self._prefix.rstrip("/")
        try:
            self._log_in()
            self._clean()
            for case in contract_cases():
                yield self._result(case)
        finally:
            self._clean()

    def _result(self, case: dict[str, Any]) -> Result:
        name = case["name"]
        reason = self._reason_to_skip(case)
        if reason is not None:
            return Result(name, "skip", reason)
        try:
            given = self._given(case["given"])
            request = request_of(case, given)
            reply = self._send(request)
            found = differences(reply, case["expect"], given)
            if case["expect"]["status"] == 401 and reply.status == 401:
                challenge = reply.headers.get("www-authenticate", "")
                if not challenge.lower().startswith("token"):
                    found.append(f"WWW-Authenticate: {challenge or 'missing'}, expected Token")
        except (OSError, http.client.HTTPException) as error:
            found = [f"no answer: {type(error).__name__}"]
        finally:
            hidden = [*self._made, self.password]
            self._clean()
        text = "; ".join(found)
        for secret in hidden:
            text = text.replace(secret, "…")
        return Result(name, "fail" if found else "pass", text)

    def _reason_to_skip(self, case: dict[str, Any]) -> str | None:
        given = case["given"]
        if given in SKIPPED:
            return SKIPPED[given]
        if given == _FULL and not self.disruptive:
            return _DISRUPTIVE_FULL
        if "logoutall" in case["request"]["path"] and not self.disruptive:
            return _DISRUPTIVE_ALL
        text = json.dumps([case["request"], case["expect"]])
        has_token = given in ("a live token", "a token that was logged out", _FULL)
        for name in _PLACEHOLDERS:
            if "{" + name + "}" not in text:
                continue
            if name == "other_organization_id" and self.other_organization_id:
                continue
            if name in ("token", "TOKEN", "token[:-1]") and has_token:
                continue
            return f"needs {name.replace('_', ' ')}"
        if (
            given not in ("a user", "a user, and another organization {other_organization_id}")
            and not has_token
        ):
            return f"needs {given}"
        return None

    def _given(self, words: str) -> Given:
        credentials = f"{self.username}:{self.password}".encode()
        values = {
            "username": self.username,
            "USERNAME": self.username.upper(),
            "password": self.password,
            "organization_id": self.organization_id,
            "other_organization_id": self.other_organization_id,
            "nobody": f"nobody-{self.username}",
            "basic": base64.b64encode(credentials).decode(),
            "host": str(self._origin).partition("://")[2],
        }
        if words.startswith("a user"):
            return Given(values)
        token = self._log_in()
        if words == _FULL:
            self._fill()
        elif words == "a token that was logged out":
            self._log_out(token)
        return Given(values | {"token": token, "TOKEN": token.swapcase(), "token[:-1]": token[:-1]})

    def _fill(self) -> None:
        for _ in range(_LOGINS_MAX):
            if self._login_reply().status != 200:
                return

    def _log_in(self) -> str:
        reply = self._login_reply()
        if reply.status != 200 or not self._made:
            answer = Answer(reply.status, reply.headers, reply.body)
            error = error_in(answer, 0.0, Secret(self.password))
            kind = "is overloaded" if isinstance(error, Overloaded) else "made no token"
            raise CannotRun(f"The service {kind}, and without one no case can be run. {error}")
        return self._made[-1]

    def _login_reply(self) -> Received:
        body = {
            "username": self.username,
            "password": self.password,
            "organization_id": self.organization_id,
        }
        headers = [("Content-Type", "application/json")]
        return self._send(Request("POST", _LOGIN_PATHS[0], headers, json.dumps(body).encode()))

    def _log_out(self, token: str) -> None:
        self._send(Request("POST", "/api/auth/logout/", [("Authorization", f"Token {token}")], None))

    def _send(self, request: Request) -> Received:
        """The answer; a token in it is remembered, to be ended."""
        reply = exchange(self._origin, self._prefix, request, self.context)
        if request.path in _LOGIN_PATHS and reply.status == 200:
            try:
                token = json.loads(reply.body)["token"]
            except (ValueError, KeyError, TypeError):
                return reply
            if isinstance(token, str) and token.isascii() and token.isprintable():
                self._made.append(token)
        return reply

    def _clean(self) -> None:
        """End what was made; what was logged out already is answered with 401."""
        while self._made:
            # One try each, or a service that is gone is asked for ever; what is left ends by itself.
            with contextlib.suppress(OSError, http.client.HTTPException):
                self._log_out(self._made[-1])
            self._made.pop()
