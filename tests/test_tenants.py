"""A token or a password acts in its own organization only, and as its role allows."""

import base64

import pytest

from nightlatch.model.names import Role
from tests.accounts import Accounts, Person
from tests.serving import Serving
from tests.sockets import Reply, exchange, post_json, with_token

pytestmark = pytest.mark.every_release


def basic(person: Person) -> list[tuple[str, str]]:
    pair = base64.b64encode(f"{person.username}:{person.password}".encode()).decode()
    return [("Authorization", f"Basic {pair}")]


def listed(reply: Reply) -> set[str]:
    assert reply.status == 200
    return {token["id"] for token in reply.json["results"]}


def test_lists_and_deletions_stay_in_their_organization(accounts: Accounts, server: Serving) -> None:
    people = [accounts.add_person() for _ in range(3)]
    tokens = [[accounts.log_in(person) for _ in range(2)] for person in people]
    for number, person in enumerate(people):
        own = {token[4:16] for token in tokens[number]}
        mine = with_token(tokens[number][0])
        assert listed(exchange(server.port, "GET", "/api/auth/tokens/", mine)) == own
        query = f"?organization_id={person.organization_id}"
        assert listed(exchange(server.port, "GET", f"/api/auth/tokens/{query}", basic(person))) == own
        for other, others in enumerate(tokens):
            if other == number:
                continue
            foreign = people[other].organization_id
            # A token names its organization: what the query says about it changes nothing.
            path = f"/api/auth/tokens/?organization_id={foreign}"
            assert listed(exchange(server.port, "GET", path, mine)) == own
            assert exchange(server.port, "GET", path, basic(person)).status == 401
            for token in others:
                never_was = exchange(server.port, "DELETE", "/api/auth/tokens/000000000000/", mine)
                refused = exchange(server.port, "DELETE", f"/api/auth/tokens/{token[4:16]}/", mine)
                assert (refused.status, refused.body) == (never_was.status, never_was.body)
                assert refused.status == 404
                path = f"/api/auth/tokens/{token[4:16]}/{query}"
                assert exchange(server.port, "DELETE", path, basic(person)).status == 404
    for person_tokens in tokens:
        for token in person_tokens:
            assert exchange(server.port, "GET", "/api/v1/organizations/", with_token(token)).status == 200


def test_a_member_sees_and_ends_only_their_own_tokens(accounts: Accounts, server: Serving) -> None:
    owner = accounts.add_person()
    member = accounts.add_person_to(owner.organization_id, Role.MEMBER)
    owners, members = accounts.log_in(owner), accounts.log_in(member)
    assert listed(exchange(server.port, "GET", "/api/auth/tokens/", with_token(members))) == {members[4:16]}
    both = {owners[4:16], members[4:16]}
    assert listed(exchange(server.port, "GET", "/api/auth/tokens/", with_token(owners))) == both
    path = f"/api/auth/tokens/{owners[4:16]}/"
    assert exchange(server.port, "DELETE", path, with_token(members)).status == 404
    path = f"/api/auth/tokens/{members[4:16]}/"
    assert exchange(server.port, "DELETE", path, with_token(owners)).status == 204
    assert exchange(server.port, "GET", "/api/v1/organizations/", with_token(members)).status == 401
    assert exchange(server.port, "DELETE", path, with_token(owners)).status == 404


def test_logoutall_ends_the_users_tokens_in_this_organization_only(
    accounts: Accounts, server: Serving
) -> None:
    owner, other = accounts.add_person(), accounts.add_person()
    elsewhere = accounts.join(owner, other.organization_id)
    here = [accounts.log_in(owner) for _ in range(3)]
    kept = [accounts.log_in(elsewhere), accounts.log_in(accounts.add_person_to(owner.organization_id))]
    assert exchange(server.port, "POST", "/api/auth/logoutall/", with_token(here[0])).status == 204
    for token in here:
        assert exchange(server.port, "GET", "/api/v1/organizations/", with_token(token)).status == 401
    for token in kept:
        assert exchange(server.port, "GET", "/api/v1/organizations/", with_token(token)).status == 200


def test_organizations_are_those_of_the_tokens_user(accounts: Accounts, server: Serving) -> None:
    owner, other = accounts.add_person(), accounts.add_person()
    accounts.join(owner, other.organization_id)
    reply = exchange(server.port, "GET", "/api/v1/organizations/", with_token(accounts.log_in(owner)))
    expected = {owner.organization_id, other.organization_id}
    assert {item["uuid"] for item in reply.json["results"]} == expected
    assert reply.json["count"] == 2


def test_with_all_20_tokens_lost_the_password_lists_and_ends_one(accounts: Accounts, server: Serving) -> None:
    for role in (Role.OWNER, Role.MEMBER):
        owner = accounts.add_person()
        person = owner if role is Role.OWNER else accounts.add_person_to(owner.organization_id)
        lost = [accounts.log_in(person) for _ in range(20)]
        assert post_json(server.port, "/api/auth/login/", person.login_body).status == 403
        query = f"?organization_id={person.organization_id}"
        ids = listed(exchange(server.port, "GET", f"/api/auth/tokens/{query}", basic(person)))
        assert ids == {token[4:16] for token in lost}
        path = f"/api/auth/tokens/{lost[7][4:16]}/{query}"
        assert exchange(server.port, "DELETE", path, basic(person)).status == 204
        assert post_json(server.port, "/api/auth/login/", person.login_body).status == 200


@pytest.mark.parametrize(
    ("header", "query", "status"),
    [
        ("Basic", "", 400),
        ("Basic", "?organization_id=", 400),
        ("Basic", "?organization_id=zzzzzz", 401),
        ("Basic !!", "?organization_id=zzzzzz", 401),
        ("Basic eA==", "?organization_id=%00", 401),
        ("Basic AAA6AAA=", "?organization_id=%ff%00", 401),
    ],
)
def test_basic_without_organization_is_400_and_any_failure_is_one_401(
    header: str, query: str, status: int, server: Serving
) -> None:
    for method, path in (("GET", "/api/auth/tokens/"), ("DELETE", "/api/auth/tokens/abcdefghijkl/")):
        reply = exchange(server.port, method, path + query, [("Authorization", header)])
        assert reply.status == status
        if status == 401:
            assert reply.json == {"detail": "Invalid username/password."}
            assert reply.headers["www-authenticate"] == "Token"
        else:
            assert reply.json == {"organization_id": ["This field is required."]}


@pytest.mark.parametrize("where", ["query", "form", "cookie", "X-Token"])
def test_a_token_is_read_from_the_authorization_header_only(
    where: str, accounts: Accounts, server: Serving
) -> None:
    token = accounts.log_in(accounts.add_person())
    path, headers, body = "/api/auth/logout/", [], None
    match where:
        case "query":
            path += f"?token={token}&Authorization=Token%20{token}"
        case "form":
            headers = [("Content-Type", "application/x-www-form-urlencoded")]
            body = f"token={token}".encode()
        case "cookie":
            headers = [("Cookie", f"token={token}; Authorization=Token {token}")]
        case _:
            headers = [("X-Token", token), ("Proxy-Authorization", f"Token {token}")]
    assert exchange(server.port, "POST", path, headers, body).status == 401
    assert exchange(server.port, "GET", "/api/v1/organizations/", with_token(token)).status == 200


def test_last_use_is_listed_soon_with_time_and_address(accounts: Accounts, server: Serving) -> None:
    import time

    token = accounts.log_in(accounts.add_person(), "my laptop")
    exchange(server.port, "GET", "/api/v1/organizations/", with_token(token))
    deadline = time.monotonic() + 10
    while True:
        reply = exchange(server.port, "GET", "/api/auth/tokens/", with_token(token)).json["results"][0]
        if reply["last_used"] is not None:
            break
        assert time.monotonic() < deadline
    assert reply["last_address"] == "127.0.0.1"
    assert reply["last_used"] >= reply["created"]
    assert reply["name"] == "my laptop"


def test_time_to_live_and_name_are_the_tokens(accounts: Accounts, server: Serving) -> None:
    person = accounts.add_person()
    body = {**person.login_body, "name": "robot", "time_to_live": 3600}
    reply = post_json(server.port, "/api/auth/login/", body, [("User-Agent", "robot/1.0 \xe9")])
    assert reply.status == 200
    listed_token = exchange(server.port, "GET", "/api/auth/tokens/", with_token(reply.json["token"])).json[
        "results"
    ][0]
    assert (listed_token["name"], listed_token["expiry"]) == ("robot", reply.json["expiry"])
    assert listed_token["user_agent"].startswith("robot/1.0")
    over = {**person.login_body, "time_to_live": 30 * 24 * 3600 + 1}
    refused = post_json(server.port, "/api/auth/login/", over)
    assert refused.status == 400
    assert refused.json == {"time_to_live": ["Ensure this value is less than or equal to 2592000."]}
    # Whoever does not know the password does not learn the organization's maximum.
    stranger = post_json(server.port, "/api/auth/login/", {**over, "password": "x"})
    assert stranger.json == {"non_field_errors": ["Unable to log in with provided credentials."]}
