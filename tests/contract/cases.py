"""Contract cases: making what they assume, sending them, comparing the answer.

The cases themselves, and how an answer is compared, are in the client (nightlatch_client.conformance): it
puts them to any service. What the reference answered beyond them is in recorded.json here.
"""

import base64
import json
import re
from pathlib import Path
from typing import Any

from nightlatch.model.attempt import Attempt
from nightlatch.model.names import Email, OrganizationId, Role
from nightlatch.model.origin import Origin
from nightlatch.model.token import parse_token
from nightlatch.store.columns import SQLITE_NOW
from nightlatch.usecases.disable_user import disable_user
from nightlatch.usecases.log_out import log_out
from nightlatch_client.conformance import cases as conformance
from nightlatch_client.conformance.cases import Given, request_of
from tests.accounts import Accounts
from tests.sockets import Reply, exchange

_FOLDER = Path(__file__).parent
_TOKEN = re.compile(r"nlt_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}")


def recorded_cases() -> list[dict[str, Any]]:
    """What the reference answered, beyond the contract's cases."""
    cases: list[dict[str, Any]] = json.loads((_FOLDER / "recorded.json").read_text("utf-8"))["cases"]
    return cases


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


def send_case(port: int, case: dict[str, Any], given: Given) -> Reply:
    """Send the case's request."""
    request = request_of(case, given)
    return exchange(port, request.method, request.path, request.headers, request.body)


def differences(reply: Reply, expect: dict[str, Any], given: Given) -> list[str]:
    """How the answer differs from what the case expects; a token must be one of Nightlatch's."""
    return conformance.differences(reply, expect, given, _TOKEN)
