"""Forward authentication over HTTP: what a proxy asks and gets."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nightlatch.model.names import OrganizationId, Role
from nightlatch.usecases.add_user import add_user
from nightlatch.usecases.update_organization import OrganizationChange, update_organization
from tests.accounts import PASSWORD, Accounts, Person
from tests.conftest import Database
from tests.malformed import malformed_headers
from tests.serving import Serving
from tests.sockets import Reply, exchange, parse, request_bytes, with_token

PATH = "/api/auth/verify/"
IDENTITY = ("x-auth-organization", "x-auth-user", "x-auth-role", "x-auth-token-id", "x-auth-expiry")


@pytest.fixture(scope="module")
def person(accounts: Accounts) -> Person:
    return accounts.add_person()


@pytest.fixture(scope="module")
def token(accounts: Accounts, person: Person) -> str:
    return accounts.log_in(person)


def verify(
    server: Serving, token: str, path: str = PATH, *more: tuple[str, str], method: str = "GET"
) -> Reply:
    return exchange(server.port, method, path, [*with_token(token), *more])


def test_fa1_a_live_token_gives_every_identity_header(server: Serving, person: Person, token: str) -> None:
    for _ in range(5):  # read from the database, then from memory, by each worker
        reply = verify(server, token)
        assert (reply.status, reply.body) == (200, b"")
        assert reply.headers["x-auth-organization"] == person.organization_id
        assert reply.headers["x-auth-user"] == person.username
        assert reply.headers["x-auth-role"] == "owner"
        assert reply.headers["x-auth-token-id"] == token[4:16]
        assert reply.headers["x-auth-expiry"].endswith("Z")


def test_fa1_a_token_without_end_has_an_empty_expiry_header(server: Serving, accounts: Accounts) -> None:
    person = accounts.add_person()
    accounts.do(
        update_organization, OrganizationId(person.organization_id), OrganizationChange(never_expires=True)
    )
    endless = accounts.log_in(person)
    for _ in range(3):
        assert verify(server, endless).headers["x-auth-expiry"] == ""


def test_an_address_beyond_ascii_is_percent_encoded(
    server: Serving, accounts: Accounts, person: Person
) -> None:
    accounts.do(
        add_user, "jürgen%@example.com", PASSWORD, OrganizationId(person.organization_id), Role.MEMBER
    )
    foreign = accounts.log_in(Person(person.organization_id, "jürgen%@example.com"))
    assert verify(server, foreign).headers["x-auth-user"] == "j%C3%BCrgen%25@example.com"


@pytest.mark.parametrize(
    "method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "get"]
)
def test_any_method_is_answered_alike(method: str, server: Serving, token: str) -> None:
    reply = verify(server, token, method=method)
    assert reply.status == 200
    assert all(name in reply.headers for name in IDENTITY)
    assert exchange(server.port, method, PATH).status == 401


def test_the_path_without_its_slash_is_the_same(server: Serving, token: str) -> None:
    assert verify(server, token, PATH[:-1]).status == 200


def test_no_cors_layer_answers(server: Serving) -> None:
    preflight = [("Origin", "https://app.example.com"), ("Access-Control-Request-Method", "GET")]
    reply = exchange(server.port, "OPTIONS", PATH, preflight)
    assert reply.status == 401
    assert not any(name.startswith("access-control") for name in reply.headers)


def test_a_body_is_not_waited_for(server: Serving, token: str) -> None:
    head = request_bytes("POST", PATH, [*with_token(token), ("Content-Length", "1000000")])
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        begin = time.monotonic()
        connection.sendall(head)
        assert parse(connection.recv(65536)).status == 200
        assert time.monotonic() - begin < 3


@pytest.mark.parametrize(
    "query,status",
    [
        ("organization_id={organization}", 200),
        ("organization%5Fid={organization}", 200),
        ("x=y&organization_id={organization}", 200),
        ("other=zz", 200),
        ("organization_id=zz", 403),
        ("organization_id=", 403),
        ("organization_id", 403),
        ("organization%5fid=zz", 403),
        ("organization_id={organization}&organization_id=zz", 403),
        ("organization_id=zz&organization_id={organization}", 403),
        ("organization_id=%ff", 403),
        ("organization_id={organization}%00", 403),
        ("organization_id= {organization}", 400),
    ],
)
def test_only_the_tokens_own_organization_is_let_in(
    query: str, status: int, server: Serving, person: Person, token: str
) -> None:
    reply = verify(server, token, f"{PATH}?{query.format(organization=person.organization_id)}")
    assert reply.status == status
    if status == 403:
        assert reply.json == {"detail": "You do not have permission to perform this action."}
        assert not any(name in reply.headers for name in IDENTITY)


def test_the_organization_may_stand_in_a_header_and_each_one_named_must_fit(
    server: Serving, person: Person, token: str
) -> None:
    mine, other = ("X-Organization-Id", person.organization_id), ("X-Organization-Id", "zz")
    assert verify(server, token, PATH, mine).status == 200
    assert verify(server, token, PATH, other).status == 403
    assert verify(server, token, PATH, mine, other).status == 403
    assert verify(server, token, f"{PATH}?organization_id={person.organization_id}", other).status == 403
    assert verify(server, token, f"{PATH}?organization_id=zz", mine).status == 403


def test_ht2_every_refusal_is_401_with_its_challenge(server: Serving, accounts: Accounts, token: str) -> None:
    ended = accounts.log_in(accounts.add_person())
    accounts.expire(ended)
    for value in malformed_headers(token, ended):
        reply = exchange(server.port, "GET", PATH, [("Authorization", value)])
        assert reply.status == 401, value
        assert reply.headers["www-authenticate"] == "Token"
        assert set(reply.json) == {"detail"}


def test_tk5_a_token_anywhere_but_in_the_header_is_not_looked_at(server: Serving, token: str) -> None:
    assert exchange(server.port, "GET", f"{PATH}?token={token}").status == 401
    assert exchange(server.port, "GET", PATH, [("Cookie", f"token={token}")]).status == 401
    assert exchange(server.port, "GET", PATH, [("X-Api-Token", token)]).status == 401


@pytest.mark.parametrize("spelling", ["token {}", "TOKEN {}", "Token  {}", "  Token\t{}  ", "tOkEn \t {}"])
def test_letter_case_and_white_space_of_the_scheme_do_not_matter(
    spelling: str, server: Serving, token: str
) -> None:
    for _ in range(3):
        assert exchange(server.port, "GET", PATH, [("Authorization", spelling.format(token))]).status == 200


def test_ht1_two_authorization_headers_are_no_token(server: Serving, token: str) -> None:
    assert exchange(server.port, "GET", PATH, [*with_token(token), *with_token(token)]).status == 401
    for pair in ([("Authorization", ""), *with_token(token)], [*with_token(token), ("Authorization", "")]):
        assert exchange(server.port, "GET", PATH, pair).status == 401


def test_h30_fa6_no_answer_may_be_stored(server: Serving, token: str) -> None:
    for reply in (
        verify(server, token),
        exchange(server.port, "GET", PATH),
        verify(server, token, f"{PATH}?organization_id=z"),
    ):
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["x-content-type-options"] == "nosniff"


def test_fa7_nothing_that_was_sent_comes_back(server: Serving, token: str) -> None:
    sent = [
        ("X-Auth-User", "canary"),
        ("X-Auth-Role", "canary"),
        ("X-Canary", "canary"),
        ("Connection", "close, X-Auth-User"),
    ]
    for reply in (
        verify(server, token, f"{PATH}?canary=canary", *sent),
        exchange(server.port, "GET", f"{PATH}?canary", sent),
    ):
        assert "canary" not in str(reply.headers) + reply.body.decode()


@pytest.fixture(scope="module")
def server_with_own_header(
    database: Database, accounts: Accounts, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Serving]:
    serving = Serving(
        database.url, tmp_path_factory.mktemp("server") / "log", token_header="X-Api-Token"
    ).wait_ready()
    yield serving
    assert serving.stop() == 0


def test_the_token_may_stand_in_a_second_header_which_then_decides(
    server_with_own_header: Serving, token: str
) -> None:
    port = server_with_own_header.port
    other = ("Authorization", "Bearer of the API's own")
    for value in (token, f"Token {token}", f"tOKEN\t{token}"):
        assert exchange(port, "GET", PATH, [("X-Api-Token", value), other]).status == 200
    assert exchange(port, "GET", PATH, with_token(token)).status == 200
    assert exchange(port, "GET", PATH, [("X-Api-Token", ""), *with_token(token)]).status == 401
    assert exchange(port, "GET", PATH, [("X-Api-Token", token[:-1]), *with_token(token)]).status == 401
    assert exchange(port, "GET", PATH, [("X-Api-Token", token), ("X-Api-Token", token)]).status == 401


def test_rv6_a_token_just_returned_is_accepted_by_every_worker_and_refused_after_logout(
    server: Serving, accounts: Accounts, person: Person
) -> None:
    for _ in range(10):
        fresh = accounts.log_in(person)
        assert {verify(server, fresh).status for _ in range(6)} == {200}
        assert exchange(server.port, "POST", "/api/auth/logout/", with_token(fresh)).status == 204
        assert {verify(server, fresh).status for _ in range(6)} == {401}


def test_a_use_is_recorded_though_verify_writes_nothing(
    server: Serving, accounts: Accounts, person: Person
) -> None:
    used = accounts.log_in(person)
    before = accounts.sql("SELECT number FROM change_counter")
    assert verify(server, used).status == 200
    deadline = time.monotonic() + 10
    while not accounts.sql("SELECT address FROM token_use WHERE token_id = :id", id=used[4:16]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert accounts.sql("SELECT number FROM change_counter") == before


def test_h24_the_shared_memory_file_stays_open_to_the_end(
    database: Database, server: Serving, token: str
) -> None:
    if database.kind != "sqlite":
        return
    verify(server, token)
    for pid in server.worker_pids():
        mapped = Path(f"/proc/{pid}/maps").read_text()
        assert "nightlatch.db-shm" in mapped
