"""Contract cases: reading them, making what they assume, sending them, comparing the answer."""

import base64
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from nightlatch.model.attempt import Attempt
from nightlatch.model.names import Email, OrganizationId, Role
from nightlatch.model.origin import Origin
from nightlatch.model.token import parse_token
from nightlatch.store.columns import SQLITE_NOW
from nightlatch.usecases.disable_user import disable_user
from nightlatch.usecases.log_out import log_out
from tests.accounts import Accounts
from tests.sockets import Reply, exchange

_FOLDER = Path(__file__).parent
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_TOKEN = re.compile(r"nlt_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}")


def load_cases(name: str) -> list[dict[str, Any]]:
    """The cases of a file in this folder."""
    cases: list[dict[str, Any]] = json.loads((_FOLDER / name).read_text("utf-8"))["cases"]
    return cases


@dataclass(frozen=True)
class Given:
    """What a case starts from, as values of its placeholders."""

    values: dict[str, str] = field(repr=False)

    def fill(self, text: str, quoted: bool = False) -> str:
        """The text with its placeholders replaced."""
        for name, value in self.values.items():
            text = text.replace("{" + name + "}", quote(value, safe="") if quoted else value)
        return text


def make_given(accounts: Accounts, given: str) -> Given:
    """A fresh organization, user and token as the words say."""
    person = accounts.add_person(Role.MEMBER if "disabled" in given else Role.OWNER)
    other = accounts.add_person()
    values = {
        "username": person.username,
        "USERNAME": person.username.upper(),
        "password": person.password,
        "organization_id": person.organization_id,
        "other_organization_id": other.organization_id,
        "other_token_id": accounts.log_in(other)[4:16],
        "nobody": f"nobody-{person.username}",
        "basic": base64.b64encode(f"{person.username}:{person.password}".encode()).decode(),
        "host": "testserver",
    }
    if "guessed at too often" in given:
        if given.endswith("logged in from here before"):
            accounts.log_in(person, address="127.0.0.1")
        name = values["nobody" if given.startswith("nobody") else "username"]
        _use_up(accounts, Attempt(Email(name), OrganizationId(person.organization_id), ""))
        return Given(values)
    match given:
        case "a user" | "a user, and another organization {other_organization_id}":
            return Given(values)
        case "a disabled user":
            accounts.do(disable_user, person.username)
            return Given(values)
    count = 20 if given.startswith("an organization with 20") else 1
    tokens = [accounts.log_in(person) for _ in range(count)]
    token = tokens[0]
    if given in ("an expired token", "an organization with 20 tokens, one of them expired"):
        accounts.expire(token)
    elif given == "a live token whose user was then disabled":
        accounts.do(disable_user, person.username)
    elif given == "a token that was logged out":
        parsed = parse_token(token.encode())
        assert parsed is not None
        accounts.do(log_out, parsed, Origin())
    elif given not in ("a live token", "an organization with 20 live tokens"):
        raise ValueError(f"unknown given: {given}")
    values |= {
        "token": token,
        "TOKEN": token.swapcase(),
        "token[:-1]": token[:-1],
        "token_id": token[4:16],
    }
    return Given(values)


def _use_up(accounts: Accounts, attempt: Attempt) -> None:
    """Have the account throttled, by far more failures than a test's server lets through."""
    later = f"{SQLITE_NOW} + 7200 * 1000000" if accounts.engines.sqlite_file else "now() + interval '2 hours'"
    accounts.sql(
        f"INSERT INTO throttle (key, free_at) VALUES (:key, {later}) "
        "ON CONFLICT (key) DO UPDATE SET free_at = excluded.free_at",
        key=attempt.account,
    )


def send_case(port: int, request: dict[str, Any], given: Given) -> Reply:
    """Send the case's request."""
    headers = request["headers"]
    pairs = list(headers.items()) if isinstance(headers, dict) else [tuple(pair) for pair in headers]
    filled = [(name, given.fill(value)) for name, value in pairs]
    form = any("urlencoded" in value.lower() for name, value in filled if name.lower() == "content-type")
    return exchange(port, request["method"], given.fill(request["path"]), filled, _body(request, given, form))


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


def differences(reply: Reply, expect: dict[str, Any], given: Given, method: str = "") -> list[str]:
    """How the answer differs from what the case expects; empty if it does not."""
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
            body = reply.json
        except ValueError:
            return [*found, f"body is not JSON: {reply.body[:200]!r}"]
        if not matches(body, expect["body"], given):
            found.append(f"body {body!r}, expected {expect['body']!r}")
    return found


def matches(actual: Any, expected: Any, given: Given) -> bool:
    """Whether a body has the expected form."""
    if isinstance(expected, dict):
        return (
            isinstance(actual, dict)
            and actual.keys() == expected.keys()
            and all(matches(actual[key], value, given) for key, value in expected.items())
        )
    if isinstance(expected, list):
        return (
            isinstance(actual, list)
            and len(actual) == len(expected)
            and all(matches(one, other, given) for one, other in zip(actual, expected, strict=True))
        )
    if not isinstance(expected, str):
        return bool(actual == expected)
    match expected:
        case "<timestamp or null>":
            return actual is None or _TIMESTAMP.fullmatch(actual) is not None
        case "<token>":
            return _TOKEN.fullmatch(actual) is not None
        case "<number>":
            return isinstance(actual, int)
        case "<text>":
            return isinstance(actual, str)
        case "<list>":
            return isinstance(actual, list)
        case _ if expected.endswith("*"):
            return isinstance(actual, str) and actual.startswith(expected[:-1])
    return bool(actual == given.fill(expected))
