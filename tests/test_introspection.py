"""Introspection (RFC 7662) and revocation (RFC 7009) of a token that somebody else presented."""

import asyncio
import base64
import time
from datetime import datetime
from pathlib import Path
from urllib.parse import urlencode

import pytest

from nightlatch.model.names import OrganizationId, Role
from nightlatch.model.token import generate_token
from nightlatch.usecases.add_user import add_user
from nightlatch.usecases.update_organization import OrganizationChange, update_organization
from tests.accounts import PASSWORD, Accounts, Person
from tests.conftest import Database
from tests.serving import Serving
from tests.sockets import Reply, exchange, with_token

INTROSPECT, REVOKE = "/api/auth/introspect/", "/api/auth/revoke/"
FORM = ("Content-Type", "application/x-www-form-urlencoded")
INACTIVE = b'{"active":false}'

Headers = list[tuple[str, str]]
Fields = list[tuple[str, str]]


def basic(person: Person) -> Headers:
    pair = base64.b64encode(f"{person.username}:{person.password}".encode()).decode()
    return [("Authorization", f"Basic {pair}")]


def post(server: Serving, path: str, fields: Fields, caller: Headers) -> Reply:
    return exchange(server.port, "POST", path, [FORM, *caller], urlencode(fields).encode())


def introspect(server: Serving, token: str, caller: str) -> Reply:
    return post(server, INTROSPECT, [("token", token)], with_token(caller))


def revoke(server: Serving, token: str, caller: str) -> Reply:
    return post(server, REVOKE, [("token", token)], with_token(caller))


def accepted(server: Serving, token: str) -> bool:
    status = exchange(server.port, "GET", "/api/auth/verify/", with_token(token)).status
    assert status in (200, 401)
    return status == 200


def not_live(accounts: Accounts) -> dict[str, str]:
    """What there is besides live tokens of the caller's organization, by what it is."""
    stranger, other = accounts.add_person(), accounts.add_person()
    expired = accounts.log_in(other)
    accounts.expire(expired)
    token = generate_token().reveal()
    return {
        "another organization's": accounts.log_in(stranger),
        "another organization's, expired": expired,
        "unknown": token,
        "mistyped": token[:-1] + ("x" if token[-1] != "x" else "y"),
        "cut short": token[:-1],
        "no token": "mF_9.B5f-4.1JqM",
        "beyond ASCII": "nlt_ä€\x00\r\n",
        "long": "x" * 60_000,
    }


def told(reply: Reply) -> tuple[int, dict[str, str], bytes]:
    """All that an answer tells, but for what differs from request to request."""
    differing = ("date", "x-request-id")
    headers = {name: value for name, value in reply.headers.items() if name not in differing}
    return reply.status, headers, reply.body


@pytest.fixture(scope="module")
def owner(accounts: Accounts) -> Person:
    return accounts.add_person(token_limit=200)


@pytest.fixture(scope="module")
def caller(accounts: Accounts, owner: Person) -> str:
    return accounts.log_in(owner)


@pytest.mark.parametrize("role", Role)
def test_a_live_token_of_the_organization_is_described(
    role: Role, accounts: Accounts, server: Serving, owner: Person, caller: str
) -> None:
    person = accounts.add_person_to(owner.organization_id, role)
    token = accounts.log_in(person)
    tokens = exchange(server.port, "GET", "/api/auth/tokens/", with_token(token)).json["results"]
    expiry = next(item["expiry"] for item in tokens if item["id"] == token[4:16])
    rows = accounts.sql('SELECT id FROM "user" WHERE email = :email', email=person.username)
    for _ in range(4):  # read from the database, then from memory, by each worker
        reply = introspect(server, token, caller)
        assert reply.status == 200
        assert reply.headers["content-type"] == "application/json"
        assert reply.headers["cache-control"] == "no-store"
        assert reply.json == {
            "active": True,
            "token_type": "Token",
            "token_id": token[4:16],
            "organization_id": owner.organization_id,
            "sub": str(rows[0][0]),
            "username": person.username,
            "role": role.value,
            "exp": int(datetime.fromisoformat(expiry).timestamp()),
        }


def test_callers_are_any_member_by_token_or_by_password(
    accounts: Accounts, server: Serving, owner: Person, caller: str
) -> None:
    member = accounts.add_person_to(owner.organization_id)
    query = f"?organization_id={owner.organization_id}"
    token = accounts.log_in(owner)
    answers = {
        post(server, path, [("token", token)], headers).body
        for path, headers in (
            (INTROSPECT, with_token(caller)),
            (INTROSPECT, with_token(token)),
            (INTROSPECT, with_token(accounts.log_in(member))),
            (INTROSPECT + query, basic(member)),
            (INTROSPECT[:-1] + query, basic(owner)),
        )
    }
    assert len(answers) == 1
    assert b'"active":true' in answers.pop()


def test_a_token_without_end_has_no_exp(accounts: Accounts, server: Serving) -> None:
    person = accounts.add_person()
    endless = OrganizationChange(never_expires=True)
    accounts.do(update_organization, OrganizationId(person.organization_id), endless)
    token = accounts.log_in(person)
    answer = introspect(server, token, token).json
    assert answer["active"] is True
    assert "exp" not in answer


def test_an_address_beyond_ascii_is_written_as_it_is(
    accounts: Accounts, server: Serving, owner: Person, caller: str
) -> None:
    organization_id = OrganizationId(owner.organization_id)
    accounts.do(add_user, "jürgen%40@example.com", PASSWORD, organization_id, Role.MEMBER)
    token = accounts.log_in(Person(owner.organization_id, "jürgen%40@example.com"))
    assert introspect(server, token, caller).json["username"] == "jürgen%40@example.com"


def test_whatever_is_no_live_token_of_the_organization_is_inactive_and_nothing_more(
    accounts: Accounts, server: Serving, owner: Person, caller: str
) -> None:
    expired, ended, live = (accounts.log_in(owner) for _ in range(3))
    assert introspect(server, expired, caller).json["active"] is True
    accounts.expire(expired)
    assert exchange(server.port, "POST", "/api/auth/logout/", with_token(ended)).status == 204
    cases = not_live(accounts) | {
        "expired": expired,
        "ended": ended,
        "with a space": f" {live}",
        "with a line end": f"{live}\n",
        "as a header": f"Token {live}",
    }
    answers = {what: told(introspect(server, text, caller)) for what, text in cases.items()}
    status, _, body = answers["unknown"]
    assert (status, body) == (200, INACTIVE)
    assert {what for what, answer in answers.items() if answer != answers["unknown"]} == set()


def test_one_organizations_live_token_is_inactive_to_another_and_lives_on(
    accounts: Accounts, server: Serving
) -> None:
    people = [accounts.add_person() for _ in range(3)]
    # The same user is somebody else in another organization.
    people.append(accounts.join(people[0], people[1].organization_id, Role.OWNER))
    tokens = [accounts.log_in(person) for person in people]
    for person, caller in zip(people, tokens, strict=True):
        for holder, token in zip(people, tokens, strict=True):
            if holder.organization_id == person.organization_id:
                continue
            query = f"?organization_id={holder.organization_id}"
            for path in (INTROSPECT, INTROSPECT + query):
                assert post(server, path, [("token", token)], with_token(caller)).body == INACTIVE
            for path in (REVOKE, REVOKE + query):
                reply = post(server, path, [("token", token)], with_token(caller))
                assert (reply.status, reply.body) == (200, b"")
            own = f"?organization_id={person.organization_id}"
            assert post(server, REVOKE + own, [("token", token)], basic(person)).status == 200
    assert all(accepted(server, token) for token in tokens)


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "Token", "pigeon", ""])
def test_a_hint_changes_nothing(
    hint: str, accounts: Accounts, server: Serving, owner: Person, caller: str
) -> None:
    token = accounts.log_in(owner)
    fields = [("token_type_hint", hint), ("token", token), ("client_id", "x"), ("client_id", "y")]
    assert post(server, INTROSPECT, fields, with_token(caller)).json["active"] is True
    assert post(server, REVOKE, fields, with_token(caller)).status == 200
    assert not accepted(server, token)


@pytest.mark.parametrize("path", [INTROSPECT, REVOKE])
@pytest.mark.parametrize(
    "fields",
    [
        [],
        [("token", "")],
        [("Token", "{token}")],
        [("token_type_hint", "access_token")],
        [("token", "{token}"), ("token", "{token}")],
        [("token", "{token}"), ("token", "x")],
        [("token", "{token}"), ("token_type_hint", "a"), ("token_type_hint", "b")],
    ],
)
def test_a_missing_or_repeated_parameter_is_an_invalid_request(
    fields: Fields, path: str, accounts: Accounts, server: Serving, owner: Person, caller: str
) -> None:
    token = accounts.log_in(owner)
    sent = [(name, value.format(token=token)) for name, value in fields]
    reply = post(server, f"{path}?token={token}", sent, with_token(caller))
    assert reply.status == 400
    assert set(reply.json) == {"error", "error_description"}
    assert reply.json["error"] == "invalid_request"
    # RFC 6749 section 5.2 allows these characters.
    assert all(
        " " <= character <= "~" and character not in '"\\' for character in reply.json["error_description"]
    )
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["cache-control"] == "no-store"
    assert accepted(server, token)


@pytest.mark.parametrize("path", [INTROSPECT, REVOKE])
@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", '{{"token": "{token}"}}'),
        ("text/plain", "token={token}"),
        ("", "token={token}"),
        ("application/*", "token={token}"),
        (
            "multipart/form-data; boundary=x",
            '--x\r\nContent-Disposition: form-data; name="token"\r\n\r\n{token}\r\n--x--\r\n',
        ),
    ],
)
def test_a_body_of_another_media_type_is_not_read(
    content_type: str, body: str, path: str, accounts: Accounts, server: Serving, owner: Person, caller: str
) -> None:
    token = accounts.log_in(owner)
    headers = [("Content-Type", content_type), *with_token(caller)]
    reply = exchange(server.port, "POST", path, headers, body.format(token=token).encode())
    assert reply.status == 415
    assert reply.json == {"detail": f'Unsupported media type "{content_type}" in request.'}
    assert accepted(server, token)


@pytest.mark.parametrize("path", [INTROSPECT, REVOKE])
def test_every_form_has_an_answer_of_its_own_and_none_is_5xx(path: str, server: Serving, caller: str) -> None:
    for content_type, body, status in (
        (FORM[1], b"x=1&" * 1001 + b"token=x", 400),
        (FORM[1], b"token=" + b"x" * 70_000, 413),
        (FORM[1] + "; charset=hex", b"token=x", 400),
        # A charset whose text UTF-8 cannot write.
        (FORM[1] + "; charset=unicode_escape", rb"token=\ud800", 200),
        (FORM[1].upper() + " ; charset=utf-8", b"token=%ff%00", 200),
    ):
        headers = [("Content-Type", content_type), *with_token(caller)]
        assert exchange(server.port, "POST", path, headers, body).status == status


@pytest.mark.parametrize("path", [INTROSPECT, REVOKE])
def test_nobody_is_told_anything_without_credentials(
    path: str, accounts: Accounts, server: Serving, owner: Person
) -> None:
    token = accounts.log_in(owner)
    query = f"?organization_id={owner.organization_id}"
    for headers, target, status, body in (
        ([], path, 401, {"detail": "Authentication credentials were not provided."}),
        ([("Authorization", f"Bearer {token}")], path, 401, None),
        (with_token(generate_token().reveal()), path, 401, {"detail": "Invalid token."}),
        (basic(Person(owner.organization_id, owner.username, "wrong")), path + query, 401, None),
        (basic(owner), path, 400, {"organization_id": ["This field is required."]}),
    ):
        for fields in ([("token", token)], []):
            reply = post(server, target, fields, headers)
            assert reply.status == status
            assert body is None or reply.json == body
            assert reply.headers["cache-control"] == "no-store"
            if status == 401:
                assert reply.headers["www-authenticate"] == "Token"
    assert accepted(server, token)


@pytest.mark.parametrize("path", [INTROSPECT, REVOKE])
def test_another_method_is_405_and_names_post(path: str, server: Serving, caller: str) -> None:
    reply = exchange(server.port, "GET", f"{path}?token={caller}", with_token(caller))
    assert (reply.status, reply.headers["allow"]) == (405, "POST, OPTIONS")


@pytest.mark.parametrize("path", [INTROSPECT, REVOKE])
def test_options_names_the_only_body_that_is_read(path: str, server: Serving, caller: str) -> None:
    reply = exchange(server.port, "OPTIONS", path, with_token(caller))
    assert (reply.status, reply.json["parses"]) == (200, ["application/x-www-form-urlencoded"])


@pytest.mark.parametrize("by", ["token", "password"])
@pytest.mark.parametrize("caller_role", Role)
@pytest.mark.parametrize("whose", ["own", "an owner's", "a member's"])
def test_whoever_of_the_organization_presents_a_token_can_end_it(
    whose: str, caller_role: Role, by: str, accounts: Accounts, server: Serving, owner: Person
) -> None:
    person = accounts.add_person_to(owner.organization_id, caller_role)
    holder = {
        "own": person,
        "an owner's": owner,
        "a member's": accounts.add_person_to(owner.organization_id),
    }[whose]
    token, kept = accounts.log_in(holder), accounts.log_in(holder)
    headers = with_token(accounts.log_in(person)) if by == "token" else basic(person)
    path = f"{REVOKE}?organization_id={owner.organization_id}"
    assert accepted(server, token)
    for _ in range(2):  # repeating it is not an error
        reply = post(server, path, [("token", token)], headers)
        assert (reply.status, reply.body) == (200, b"")
        assert reply.headers["cache-control"] == "no-store"
        assert not accepted(server, token)
    assert accepted(server, kept)
    assert accounts.sql("SELECT id FROM token WHERE id = :id", id=token[4:16]) == []


def test_a_token_can_end_itself(accounts: Accounts, server: Serving, owner: Person) -> None:
    token = accounts.log_in(owner)
    assert revoke(server, token, token).status == 200
    assert revoke(server, token, token).status == 401


def test_revoking_what_is_no_live_token_of_the_organization_is_answered_like_any_other(
    accounts: Accounts, server: Serving, owner: Person, caller: str
) -> None:
    live = accounts.log_in(owner)
    cases = not_live(accounts) | {"with a space": f" {live}"}
    answers = {what: told(revoke(server, text, caller)) for what, text in cases.items()}
    assert accepted(server, live)
    assert accepted(server, cases["another organization's"])
    ended = told(revoke(server, live, caller))
    assert ended[0::2] == (200, b"")
    assert {what for what, answer in answers.items() if answer != ended} == set()


def test_no_answer_about_a_well_formed_token_comes_before_its_end_would_be_in_force(
    database: Database, accounts: Accounts, server: Serving, owner: Person, caller: str
) -> None:
    if database.kind == "sqlite":
        return  # an end is in force when its commit returns
    lease_seconds = 0.25
    foreign = accounts.log_in(accounts.add_person())
    # The second time it is gone: its first answer may have been lost.
    live = accounts.log_in(owner)
    for token in (live, live, foreign, generate_token().reveal()):
        begin = time.monotonic()
        assert revoke(server, token, caller).status == 200
        assert time.monotonic() - begin > lease_seconds


def test_introspecting_counts_as_a_use(accounts: Accounts, server: Serving) -> None:
    person = accounts.add_person()
    caller, token = accounts.log_in(person), accounts.log_in(person)
    assert introspect(server, token, caller).json["active"] is True
    deadline = time.monotonic() + 10
    while True:
        tokens = exchange(server.port, "GET", "/api/auth/tokens/", with_token(caller)).json["results"]
        record = next(item for item in tokens if item["id"] == token[4:16])
        if record["last_used"] is not None:
            break
        assert time.monotonic() < deadline
    assert record["last_address"] == "127.0.0.1"


def test_a_token_ended_by_one_server_is_inactive_at_another_at_once(
    database: Database, accounts: Accounts, server: Serving, owner: Person, caller: str, tmp_path: Path
) -> None:
    other = Serving(database.url, tmp_path / "log").wait_ready()
    try:
        for number in range(12):
            token = accounts.log_in(owner)
            here, there = (server, other) if number % 2 else (other, server)
            for _ in range(6):
                assert introspect(there, token, caller).json["active"] is True
            match number % 3:
                case 0:
                    assert revoke(here, token, caller).status == 200
                case 1:
                    assert exchange(here.port, "POST", "/api/auth/logout/", with_token(token)).status == 204
                case _:
                    path = f"/api/auth/tokens/{token[4:16]}/"
                    assert exchange(here.port, "DELETE", path, with_token(caller)).status == 204
            for _ in range(6):
                assert introspect(there, token, caller).body == INACTIVE
                assert not accepted(there, token)
    finally:
        assert other.stop() == 0


@pytest.mark.slow
def test_what_cannot_be_known_is_503_and_not_inactive(
    database: Database, accounts: Accounts, owner: Person, caller: str, tmp_path: Path
) -> None:
    if database.kind == "sqlite":
        return  # nothing keeps a reader from the file while memory may answer
    # One worker, which knows the caller, and cannot read the presented token.
    serving = Serving(database.url, tmp_path / "log").wait_ready()
    token = accounts.log_in(owner)

    def ask() -> list[Reply]:
        replies = [
            post(serving, path, [("token", token)], with_token(caller)) for path in (INTROSPECT, REVOKE)
        ]
        assert accepted(serving, caller)
        return replies

    async def ask_while_no_token_can_be_read() -> list[Reply]:
        connection = await accounts.engines.connect()
        async with connection.transaction():
            await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            await connection.execute("LOCK TABLE token IN ACCESS EXCLUSIVE MODE")
            replies = await asyncio.to_thread(ask)
        await connection.close()
        return replies

    try:
        assert accepted(serving, caller)
        for reply in accounts.run(ask_while_no_token_can_be_read()):
            assert reply.status == 503
            assert int(reply.headers["retry-after"]) >= 1
            assert "active" not in reply.json
        assert introspect(serving, token, caller).json["active"] is True
    finally:
        assert serving.stop() == 0


def test_no_presented_token_is_in_the_log(
    accounts: Accounts, owner: Person, caller: str, tmp_path: Path
) -> None:
    serving = Serving(accounts.database_url, tmp_path / "log", log_level="debug").wait_ready()
    token = accounts.log_in(owner)
    malformed = token[:-1] + ("x" if token[-1] != "x" else "y")
    try:
        for text in (malformed, f" {token}", token):
            for path in (INTROSPECT, REVOKE):
                post(serving, path, [("token", text)], with_token(caller))
                post(serving, path, [("token", text), ("token", text)], with_token(caller))
                post(serving, path, [("token", text)], [])
    finally:
        assert serving.stop() == 0
    log = (tmp_path / "log").read_text()
    assert "token_revoked" in log
    assert token[4:16] in log
    assert token[17:60] not in log
    assert "Traceback" not in log
