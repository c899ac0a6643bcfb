"""The contract's cases: reading them, making a request of one, comparing the answer. cases.json tells its
own form.
"""

import json
import re
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Final, Protocol
from urllib.parse import quote

_TIMESTAMP: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
ANY_TOKEN: Final = re.compile(r"[!-~]+")
"""A token of whatever service: text that fits into a header, without spaces."""


class Reply(Protocol):
    """An answer; header names in lower case."""

    @property
    def status(self) -> int:
        """The status code."""

    @property
    def headers(self) -> dict[str, str]:
        """The headers."""

    @property
    def body(self) -> bytes:
        """The body."""


@dataclass(frozen=True)
class Given:
    """What a case starts from, as values of its placeholders."""

    values: dict[str, str] = field(repr=False)

    def fill(self, text: str, quoted: bool = False) -> str:
        """The text with its placeholders replaced."""
        for name, value in self.values.items():
            text = text.replace("{" + name + "}", quote(value, safe="") if quoted else value)
        return text


@dataclass(frozen=True)
class Request:
    """A case's request, filled in."""

    method: str
    path: str
    headers: list[tuple[str, str]] = field(repr=False)
    body: bytes | None = field(repr=False)


def contract_cases() -> list[dict[str, Any]]:
    """All cases, in the order in which a reader understands them."""
    text = files(__package__).joinpath("cases.json").read_text("utf-8")
    cases: list[dict[str, Any]] = json.loads(text)["cases"]
    return cases


def request_of(case: dict[str, Any], given: Given) -> Request:
    """The case's request."""
    request = case["request"]
    headers = request["headers"]
    pairs = list(headers.items()) if isinstance(headers, dict) else [tuple(pair) for pair in headers]
    filled = [(name, given.fill(value)) for name, value in pairs]
    form = any("urlencoded" in value.lower() for name, value in filled if name.lower() == "content-type")
    return Request(request["method"], given.fill(request["path"]), filled, _body(request, given, form))


def _body(request: dict[str, Any], given: Given, form: bool) -> bytes | None:
    if "json" in request:
        return given.fill(json.dumps(request["json"])).encode()
    if "raw" not in request:
        return None
    raw: str = request["raw"]
    if raw.startswith("latin-1:"):
        return given.fill(raw.removeprefix("latin-1:"), form).encode("latin-1")
    if raw.startswith("hex:"):
        return bytes.fromhex(raw.removeprefix("hex:"))
    if raw.startswith("repeat:"):
        _, times, text = raw.split(":", 2)
        return (text * int(times)).encode()
    return given.fill(raw, form).encode()


def differences(
    reply: Reply, expect: dict[str, Any], given: Given, token: re.Pattern[str] = ANY_TOKEN
) -> list[str]:
    """How the answer differs from what the case expects; empty if it does not. `token`: what one looks
    like.
    """
    found = []
    allowed = expect["status"] if isinstance(expect["status"], list) else [expect["status"]]
    if expect["status"] is None:
        if not 400 <= reply.status < 500:
            found.append(f"status {reply.status}, expected any 4xx")
    elif reply.status not in allowed:
        found.append(f"status {reply.status}, expected {expect['status']}: {reply.body[:200]!r}")
    for name, value in expect.get("headers", {}).items():
        if reply.headers.get(name.lower()) != value:
            found.append(f"{name}: {reply.headers.get(name.lower())}, expected {value}")
    if expect.get("body") is not None and expect["status"] is not None:
        try:
            body = json.loads(reply.body) if reply.body else ""
        except ValueError:
            return [*found, f"body is not JSON: {reply.body[:200]!r}"]
        if not _matches(body, expect["body"], given, token):
            found.append(f"body {body!r}, expected {expect['body']!r}")
    return found


def _matches(actual: Any, expected: Any, given: Given, token: re.Pattern[str]) -> bool:
    """Whether a body has the expected form."""
    if isinstance(expected, dict):
        return (
            isinstance(actual, dict)
            and actual.keys() == expected.keys()
            and all(_matches(actual[key], value, given, token) for key, value in expected.items())
        )
    if isinstance(expected, list):
        return (
            isinstance(actual, list)
            and len(actual) == len(expected)
            and all(_matches(one, other, given, token) for one, other in zip(actual, expected, strict=True))
        )
    if not isinstance(expected, str):
        return bool(actual == expected)
    match expected:
        case "<timestamp or null>":
            return actual is None or (isinstance(actual, str) and _TIMESTAMP.fullmatch(actual) is not None)
        case "<token>":
            return isinstance(actual, str) and token.fullmatch(actual) is not None
        case "<number>":
            return isinstance(actual, int)
        case "<text>":
            return isinstance(actual, str)
        case "<list>":
            return isinstance(actual, list)
        case _ if expected.endswith("*"):
            return isinstance(actual, str) and actual.startswith(expected[:-1])
    return bool(actual == given.fill(expected))
