"""The API answers as its contract says, on every database, through real server processes."""

import json
import re
from typing import Any

import pytest

from nightlatch_client.conformance.cases import Given, contract_cases
from tests.accounts import Accounts
from tests.contract.cases import differences, make_given, recorded_cases, send_case
from tests.serving import Serving
from tests.sockets import exchange, with_token

pytestmark = pytest.mark.every_release

CASES = contract_cases()
RECORDED = recorded_cases()
GROUPS = sorted({case["group"] for case in RECORDED})


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_answer_is_the_contracts(case: dict[str, Any], accounts: Accounts, server: Serving) -> None:
    given = make_given(accounts, case["given"])
    reply = send_case(server.port, case, given)
    assert differences(reply, case["expect"], given) == []
    if case["name"].startswith("CORS preflight"):
        assert reply.headers["access-control-allow-origin"] == "*"
    if case["expect"]["status"] == 401:
        assert reply.headers["www-authenticate"] == "Token"
    if case["expect"]["status"] == 429:
        seconds = reply.headers["retry-after"]
        assert reply.json["detail"] == f"Request was throttled. Expected available in {seconds} seconds."
    if case["name"] == "21st login":
        assert "/api/auth/tokens/" in reply.json["detail"]


def _names_organization(case: dict[str, Any]) -> bool:
    return "{organization_id}" in json.dumps(case["request"])


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if _names_organization(case) and case["expect"]["status"] in (200, 403)],
    ids=lambda case: case["name"],
)
def test_same_request_for_another_organization_finds_nobody(
    case: dict[str, Any], accounts: Accounts, server: Serving
) -> None:
    given = make_given(accounts, case["given"])
    elsewhere = Given({**given.values, "organization_id": given.values["other_organization_id"]})
    reply = send_case(server.port, case, elsewhere)
    assert reply.status == 400
    assert reply.json == {"non_field_errors": ["Unable to log in with provided credentials."]}


# What is answered otherwise than by the reference, and why.
_STRICT = "malformed multipart is told to be malformed, and not read as far as it goes"
_VERBATIM = "a part is taken as it was sent"
DEVIATIONS = {
    r"Authorization: Basic": "any failure of Basic has one and the same answer",
    r"multipart login: (other boundary|boundary (of|with|that)|two types|text before|LF|JSON body|form body"
    r"|garbage|part with(out)? (a name|disposition|folded)|name\* in)": _STRICT,
    r"multipart login: (without the end|cut inside)": "a field that is cut off is not there",
    r"multipart login: (base64|filename\*|username with an empty|time_to_live a file)": _VERBATIM,
    r"multipart login: (odd letter case|part with a 2000|charset utf-16)": "understood",
    r"charset \[?(idna|punycode)": "refused: decoding takes time by the square of the length",
    r"charset \[?utf-(7|32)": "depends on the reference's own password",
    r"OPTIONS logoutall.*, token": "the description is knox's own",
    r"OPTIONS organizations with unknown token and format=xml": "the format is looked at before the path",
    r"(POST|OPTIONS) tokens( without the.*)?, (no )?(unknown )?token": "POST makes child tokens",
    r"(PUT|PATCH|DELETE|TRACE|FOO|PROPFIND) tokens( without the.*)?, token": "Allow names POST",
    r"tokens of 20\?organization_id": "holds the reference's own organization",
    r"tokens next URL, escaped path": "a link repeats the path as it was sent",
}


def _deviates(case: dict[str, Any]) -> bool:
    return any(re.search(pattern, case["name"]) for pattern in DEVIATIONS)


def test_every_deviation_is_still_one_of_a_recorded_case() -> None:
    for pattern in DEVIATIONS:
        assert any(re.search(pattern, case["name"]) for case in RECORDED), pattern


@pytest.mark.slow
@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_recorded_answers_of_the_reference_are_given_too(
    group: str, accounts: Accounts, server: Serving
) -> None:
    wrong = []
    for case in RECORDED:
        if case["group"] != group or _deviates(case):
            continue
        given = make_given(accounts, case["given"])
        reply = send_case(server.port, case, given)
        found = differences(reply, case["expect"], given)
        if "after" in case:
            after = exchange(server.port, "GET", "/api/v1/organizations/", with_token(given.values["token"]))
            if after.status != {"live": 200, "ended": 401}[case["after"]]:
                found.append(f"afterwards the token is answered with {after.status}")
        if found:
            wrong.append(f"{case['name']}: {'; '.join(found)}")
    assert wrong == []
