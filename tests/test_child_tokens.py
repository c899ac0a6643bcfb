"""Child tokens over HTTP: made with a token, for some requests only, refused everywhere else,
ended with it."""

import base64
import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nightlatch.model.names import LimitPolicy, OrganizationId, Role
from nightlatch.usecases.close_organization import close_organization
from nightlatch.usecases.disable_user import disable_user
from nightlatch.usecases.prune import prune_expired
from nightlatch.usecases.remove_member import remove_member
from nightlatch.usecases.revoke_tokens import revoke_all, revoke_one
from nightlatch.usecases.set_password import set_password
from nightlatch.usecases.update_organization import OrganizationChange, update_organization
from tests.accounts import Accounts, Person
from tests.conftest import Database
from tests.serving import Serving
from tests.sockets import Reply, exchange, post_json, with_token

TOKENS = "/api/auth/tokens/"
VERIFY = "/api/auth/verify/"
FORBIDDEN = {"detail": "You do not have permission to perform this action."}
SCOPE = {"methods": ["POST", "PATCH"], "paths": ["/api/v1/acme/uploads"]}
TOLD = (("X-Forwarded-Method", "POST"), ("X-Forwarded-Uri", "/api/v1/acme/uploads/1?part=2"))
FORM = ("Content-Type", "application/x-www-form-urlencoded")

ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

Headers = tuple[tuple[str, str], ...]


@pytest.fixture(scope="module")
def behind(
    database: Database, tmp_path_factory: pytest.TempPathFactory, accounts: Accounts
) -> Iterator[Serving]:
    """A server that believes a proxy on this machine."""
    serving = Serving(
        database.url,
        tmp_path_factory.mktemp("behind") / "log",
        workers=2,
        use_flush_seconds=0.2,
        trusted_proxies="127.0.0.1",
    ).wait_ready()
    yield serving
    assert serving.stop() == 0
    assert "Traceback" not in serving.log.read_text()


@pytest.fixture
def owner(accounts: Accounts) -> Person:
    return accounts.add_person()


def issue(server: Serving, parent: str, **fields: Any) -> Reply:
    return post_json(server.port, TOKENS, {**SCOPE, **fields}, with_token(parent))


def issued(server: Serving, parent: str, **fields: Any) -> str:
    reply = issue(server, parent, **fields)
    assert reply.status == 201, reply
    return str(reply.json["token"])


def verify(server: Serving, token: str, told: Headers = TOLD, *more: tuple[str, str]) -> Reply:
    return exchange(server.port, "GET", VERIFY, [*with_token(token), *told, *more])


def statuses(server: Serving, token: str, times: int = 8) -> set[int]:
    """What verify answers on connections enough to reach each worker."""
    return {verify(server, token).status for _ in range(times)}


def basic(person: Person) -> list[tuple[str, str]]:
    pair = base64.b64encode(f"{person.username}:{person.password}".encode()).decode()
    return [("Authorization", f"Basic {pair}")]


# Making one


def test_a_token_makes_a_child_that_is_told_once(behind: Serving, accounts: Accounts, owner: Person) -> None:
    parent = accounts.log_in(owner)
    begin = datetime.now(UTC)
    limits = {"origin": "https://app.example.com", "addresses": ["192.0.2.0/24", "2001:db8::1"]}
    reply = issue(behind, parent, name="upload page", time_to_live=600, **limits)
    assert reply.status == 201
    assert reply.headers["cache-control"] == "no-store"
    body = reply.json
    assert set(body) == {"token", "expiry", "id", "name", "methods", "paths", "origin", "addresses"}
    assert body["token"][4:16] == body["id"]
    assert (body["name"], body["methods"], body["paths"]) == ("upload page", *SCOPE.values())
    assert (body["origin"], body["addresses"]) == (
        "https://app.example.com",
        ["192.0.2.0/24", "2001:db8::1/128"],
    )
    assert abs(datetime.fromisoformat(body["expiry"]) - begin - timedelta(seconds=600)) < timedelta(
        seconds=20
    )
    stored = accounts.sql("SELECT digest FROM child_token WHERE id = :id", id=body["id"])
    assert body["token"].encode() not in bytes(stored[0][0])


def test_it_lives_an_hour_unless_the_organization_says_otherwise(
    behind: Serving, accounts: Accounts, owner: Person
) -> None:
    parent = accounts.log_in(owner)

    def seconds_left() -> float:
        expiry = datetime.fromisoformat(issue(behind, parent).json["expiry"])
        return (expiry - datetime.now(UTC)).total_seconds()

    assert 3580 < seconds_left() <= 3601
    refused = issue(behind, parent, time_to_live=3601)
    assert (refused.status, refused.json) == (
        400,
        {"time_to_live": ["Ensure this value is less than or equal to 3600."]},
    )
    change = OrganizationChange(child_time_to_live=60)
    accounts.do(update_organization, OrganizationId(owner.organization_id), change)
    assert 40 < seconds_left() <= 61
    accounts.set_expiry(parent, 30)
    assert 10 < seconds_left() <= 31, "a child would outlive its parent"


def test_it_uses_up_no_place_and_is_not_among_the_tokens(
    behind: Serving, accounts: Accounts, owner: Person
) -> None:
    parent = accounts.log_in(owner)
    children = [issued(behind, parent) for _ in range(3)]
    for _ in range(19):
        accounts.log_in(owner)
    assert post_json(behind.port, "/api/auth/login/", owner.login_body).status == 403
    listed = exchange(behind.port, "GET", TOKENS, with_token(parent)).json
    assert listed["count"] == 20
    assert not {item["id"] for item in listed["results"]} & {child[4:16] for child in children}


LONG = "/" + "a" * 200
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"methods": None}, "methods"), ({"methods": []}, "methods"), ({"methods": "POST"}, "methods"),
    ({"methods": ["post"]}, "methods"), ({"methods": ["PSOT"]}, "methods"), ({"methods": ["*"]}, "methods"),
    ({"methods": [1]}, "methods"), ({"methods": {"POST": 1}}, "methods"), ({"methods": ["POST"] * 21},
    "methods"),
    ({"paths": None}, "paths"), ({"paths": []}, "paths"), ({"paths": "/"}, "paths"),
    ({"paths": ["uploads"]}, "paths"),
    ({"paths": [""]}, "paths"), ({"paths": ["/a", "/b/../c"]}, "paths"), ({"paths": ["/a//b"]}, "paths"),
    ({"paths": ["/a?b=c"]}, "paths"), ({"paths": ["/a*b c"]}, "paths"), ({"paths": ["/%2e%2e/a"]}, "paths"),
    ({"paths": ["/a\u0000"]}, "paths"), ({"paths": ["/\ud800"]}, "paths"), ({"paths": ["/ä"]}, "paths"),
    ({"paths": [LONG]}, "paths"), ({"paths": [f"/{n:03}{'a' * 197}" for n in range(5)]}, "paths"),
    ({"paths": ["/a"] * 21}, "paths"), ({"paths": [["/a"]]}, "paths"),
    ({"origin": None}, "origin"), ({"origin": ""}, "origin"), ({"origin": "*"}, "origin"),
    ({"origin": "null"}, "origin"),
    ({"origin": "app.example.com"}, "origin"), ({"origin": "https://app.example.com/"}, "origin"),
    ({"origin": "https://App.example.com"}, "origin"), ({"origin": "https://app.example.com:443"}, "origin"),
    ({"origin": "https://u@app.example.com"}, "origin"), ({"origin": ["https://app.example.com"]}, "origin"),
    ({"origin": "https://a b"}, "origin"), ({"origin": "https://*.example.com"}, "origin"),
    ({"addresses": None}, "addresses"), ({"addresses": []}, "addresses"), ({"addresses": "192.0.2.1"},
    "addresses"),
    ({"addresses": ["192.0.2.1/24"]}, "addresses"), ({"addresses": ["everywhere"]}, "addresses"),
    ({"addresses": [1]}, "addresses"), ({"addresses": ["fe80::1%eth0"]}, "addresses"),
    ({"addresses": ["192.0.2.1"] * 21}, "addresses"),
    ({"time_to_live": 0}, "time_to_live"), ({"time_to_live": None}, "time_to_live"),
    ({"time_to_live": "soon"}, "time_to_live"), ({"name": ""}, "name"), ({"name": "x" * 101}, "name"),
    ({"pathes": ["/a"]}, "pathes"), ({"adresses": ["192.0.2.1"]}, "adresses"), ({"Origin": "https://a"},
    "Origin"),
    ({"organization_id": "acme"}, "organization_id"), ({"": 1}, ""), ({"\ud800": 1}, "?"), ({"\u0000": 1},
    "?"),
]  # fmt: skip


@ON_SQLITE  # what a body says is read before any database is asked
@pytest.mark.parametrize(("fields", "named"), WRONG, ids=lambda value: repr(value)[:40])
def test_a_limit_that_is_wrong_or_mistyped_is_refused_by_its_name_and_nothing_is_made(
    fields: dict[str, Any], named: str, behind: Serving, accounts: Accounts, owner: Person
) -> None:
    parent = accounts.log_in(owner)
    reply = issue(behind, parent, **fields)
    assert reply.status == 400, reply
    assert set(reply.json) == {named}
    assert all(isinstance(message, str) and message for message in reply.json[named])
    assert accounts.sql("SELECT count(*) FROM child_token WHERE parent_id = :id", id=parent[4:16])[0][0] == 0


def test_a_body_that_says_a_thing_twice_or_is_no_json_is_refused(
    behind: Serving, accounts: Accounts, owner: Person
) -> None:
    parent = accounts.log_in(owner)

    def post(body: bytes, content_type: str = "application/json") -> Reply:
        return exchange(
            behind.port, "POST", TOKENS, [("Content-Type", content_type), *with_token(parent)], body
        )

    plain = json.dumps(SCOPE).encode()
    assert post(plain).status == 201
    for body in (
        b'{"methods": ["GET"], "paths": ["/a"], "paths": ["/"]}',
        b'{"methods": ["GET"], "\\u0070aths": ["/a"], "paths": ["/"]}',
        plain + plain, b"[]", b"null", b"{", b'"x"', b"\xff", b'{"methods": NaN}', b"[" * 100_00,
    ):  # fmt: skip
        assert post(body).status == 400, body[:60]
    assert post(b"").json == {name: ["This field is required."] for name in SCOPE}
    assert post(plain, "text/plain").status == 415
    assert post(b"methods=GET&paths=/", FORM[1]).status == 415
    assert accounts.sql("SELECT count(*) FROM child_token WHERE parent_id = :id", id=parent[4:16])[0][0] == 1


def test_only_a_live_token_makes_one(behind: Serving, accounts: Accounts, owner: Person) -> None:
    parent = accounts.log_in(owner)
    child = issued(behind, parent)
    assert (issue(behind, child).status, issue(behind, child).json) == (403, FORBIDDEN)
    assert post_json(behind.port, TOKENS, SCOPE).status == 401
    query = f"?organization_id={owner.organization_id}"
    assert post_json(behind.port, TOKENS + query, SCOPE, basic(owner)).status == 401
    assert exchange(behind.port, "POST", "/api/auth/logout/", with_token(parent)).status == 204
    assert issue(behind, parent).status == 401


def test_the_organizations_limit_of_children_is_kept_by_itself(
    behind: Serving, accounts: Accounts, owner: Person
) -> None:
    change = OrganizationChange(child_token_limit=2)
    accounts.do(update_organization, OrganizationId(owner.organization_id), change)
    parents = [accounts.log_in(owner) for _ in range(2)]
    first = issued(behind, parents[0])
    issued(behind, parents[1])
    refused = issue(behind, parents[1])
    assert refused.status == 403
    assert refused.json["code"] == "child_token_limit_reached"
    assert "/children/" in refused.json["detail"]
    assert exchange(behind.port, "DELETE", f"{TOKENS}{first[4:16]}/", with_token(parents[1])).status == 204
    issued(behind, parents[1])


def test_av8_child_tokens_are_made_at_a_rate_only_whatever_races_and_by_whichever_token(
    database: Database, tmp_path: Path, accounts: Accounts, owner: Person
) -> None:
    member = accounts.add_person_to(owner.organization_id, Role.MEMBER)
    elsewhere = accounts.join(owner, accounts.add_person().organization_id)
    change = OrganizationChange(child_token_limit=9)
    accounts.do(update_organization, OrganizationId(owner.organization_id), change)
    parents = [accounts.log_in(owner) for _ in range(3)]
    serving = Serving(
        database.url, tmp_path / "log", workers=2, child_tokens_per_user="5 per 1h"
    ).wait_ready()
    try:
        wrong: list[dict[str, Any]] = [{"time_to_live": 3601}, {"paths": []}]
        for fields in wrong:
            assert {issue(serving, parents[0], **fields).status for _ in range(6)} == {400}
        with ThreadPoolExecutor(10) as pool:
            replies = list(pool.map(lambda n: issue(serving, parents[n % 3]), range(30)))
        assert Counter(reply.status for reply in replies) == {201: 5, 429: 25}
        refused = next(reply for reply in replies if reply.status == 429)
        assert 600 < int(refused.headers["retry-after"]) <= 720
        assert "Request was throttled" in refused.json["detail"]
        accounts.sql(f"UPDATE child_token SET expiry = {accounts.an_hour_ago}")
        assert issue(serving, parents[0]).status == 429  # one that expired was made all the same
        # Nobody else is refused, nor anything else of theirs.
        for person in (member, elsewhere):
            assert issue(serving, accounts.log_in(person)).status == 201
        assert verify(serving, parents[0]).status == 200
        assert exchange(serving.port, "GET", TOKENS, with_token(parents[0])).status == 200
    finally:
        assert serving.stop() == 0


def test_no_race_of_two_servers_exceeds_the_limit_of_children(
    behind: Serving, server: Serving, accounts: Accounts, owner: Person
) -> None:
    change = OrganizationChange(child_token_limit=10)
    accounts.do(update_organization, OrganizationId(owner.organization_id), change)
    parents = [accounts.log_in(owner) for _ in range(4)]
    with ThreadPoolExecutor(40) as pool:
        replies = pool.map(lambda n: issue((behind, server)[n % 2], parents[n % 4]), range(80))
        assert Counter(reply.status for reply in replies) == {201: 10, 403: 70}


# Using one


def test_within_its_scope_it_stands_for_its_user(behind: Serving, accounts: Accounts, owner: Person) -> None:
    parent = accounts.log_in(owner)
    reply = issue(behind, parent)
    child = reply.json["token"]
    for _ in range(8):  # read from the database, then from memory, by each worker
        answer = verify(behind, child)
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["x-auth-organization"] == owner.organization_id
        assert answer.headers["x-auth-user"] == owner.username
        assert answer.headers["x-auth-role"] == "owner"
        assert answer.headers["x-auth-token-id"] == child[4:16]
        assert answer.headers["x-auth-expiry"] == reply.json["expiry"]
    other = verify(behind, child, TOLD, ("X-Organization-Id", "zz"))
    assert (other.status, other.json) == (403, FORBIDDEN)


def told(method: str = "POST", target: str = "/api/v1/acme/uploads/1", *more: tuple[str, str]) -> Headers:
    return (("X-Forwarded-Method", method), ("X-Forwarded-Uri", target), *more)


OUTSIDE: list[Headers] = [
    told("GET"), told("post"), told("DELETE"), told(""), told("POST", "/api/v1/acme/uploads2"),
    told("POST", "/api/v1/acme"), told("POST", "/"), told("POST", ""), told("POST",
    "/api/v1/acme/uploads/../x"),
    told("POST", "/api/v1/acme/uploads/%2e%2e/x"), told("POST", "/api/v1/acme/uploads//x"),
    told("POST", "/api/v1/acme/uploads/%2fx"), told("POST", "/api/v1/acme/uploads/..;/x"),
    told("POST", "/api/v1/acme/uploads/\\x"), told("POST", "/api/v1/acme/uploads/%"),
    told("POST", "http://host/api/v1/acme/uploads/"), told("POST", "/x?/api/v1/acme/uploads/"),
    (), TOLD[:1], TOLD[1:], (*TOLD, TOLD[0]), (*TOLD, TOLD[1]), (*TOLD, ("X-Forwarded-Uri", "/")),
    (*TOLD, ("X-Forwarded-Method", "GET")), (("X-Original-Uri", TOLD[1][1]), ("X-Original-Method", "POST")),
    (("X_Forwarded_Method", "POST"), ("X_Forwarded_Uri", TOLD[1][1])),
]  # fmt: skip


@ON_SQLITE
@pytest.mark.parametrize("asked", OUTSIDE, ids=repr)
def test_outside_of_its_scope_or_without_being_told_the_request_it_is_403_and_never_200(
    asked: Headers, behind: Serving, accounts: Accounts, owner: Person
) -> None:
    child = issued(behind, accounts.log_in(owner))
    for _ in range(4):
        reply = verify(behind, child, asked)
        assert (reply.status, reply.json) == (403, FORBIDDEN)
        assert not any(name.startswith("x-auth-") for name in reply.headers)
        assert verify(behind, child).status == 200


def test_the_request_is_believed_from_a_trusted_proxy_only(
    behind: Serving, server: Serving, accounts: Accounts, owner: Person
) -> None:
    parent = accounts.log_in(owner)
    child = issued(server, parent)
    for method in ("GET", "POST"):
        target = f"{VERIFY}?x=/api/v1/acme/uploads"
        assert exchange(server.port, method, target, [*with_token(child), *TOLD]).status == 403
    assert statuses(server, child) == {403}
    assert statuses(behind, child) == {200}
    assert verify(server, parent).status == 200  # tokens need no scope


def test_origin_and_address_are_limits_too(behind: Serving, accounts: Accounts, owner: Person) -> None:
    parent = accounts.log_in(owner)
    of_page = issued(behind, parent, origin="https://app.example.com")
    page = ("Origin", "https://app.example.com")
    assert verify(behind, of_page, TOLD, page).status == 200
    for wrong in ((), (("Origin", "https://evil.example"),), (("Origin", "null"),), (page, page)):
        assert verify(behind, of_page, TOLD, *wrong).status == 403
    of_place = issued(behind, parent, addresses=["198.51.100.0/24", "2001:db8::/32"])
    for hops, status in (
        ("198.51.100.7", 200), ("2001:db8::7", 200), ("203.0.113.1", 403), ("203.0.113.1, 198.51.100.7", 200),
        ("198.51.100.7, 203.0.113.1", 403), ("198.51.100.7, 127.0.0.1", 200), ("nonsense", 403),
    ):  # fmt: skip
        assert verify(behind, of_place, TOLD, ("X-Forwarded-For", hops)).status == status, hops
    assert verify(behind, of_place).status == 403  # the proxy's own address


@ON_SQLITE
@pytest.mark.parametrize(
    "headers",
    [
        (), (("X-Forwarded-For", ""),), (("X-Forwarded-For", "unknown"),),
        (("X-Forwarded-For", "203.0.113.9:4711"),), (("X-Forwarded-For", "127.0.0.1"),),
        (("X-Forwarded-For", "203.0.113.9, unknown, 127.0.0.1"),), (("Forwarded", "for=203.0.113.9"),),
        (("X-Forwarded-For", ", ".join(["127.0.0.1"] * 30)),),
        (("X-Real-Ip", "127.0.0.9"),),
    ],
    ids=repr,
)  # fmt: skip
def test_a_proxys_own_address_is_never_taken_for_its_clients(
    headers: Headers, behind: Serving, accounts: Accounts, owner: Person
) -> None:
    parent = accounts.log_in(owner)
    anywhere, here = issued(behind, parent), issued(behind, parent, addresses=["127.0.0.0/8", "::/0"])
    for _ in range(4):
        assert verify(behind, here, TOLD, *headers).status == 403
        assert verify(behind, anywhere, TOLD, *headers).status == 200
    assert verify(behind, here, TOLD, ("X-Forwarded-For", "127.0.0.9")).status == 200
    assert verify(behind, here, TOLD, ("X-Forwarded-For", "127.0.0.9, 127.0.0.1")).status == 200


ENDPOINTS = [
    ("POST", "/api/auth/logout/"), ("POST", "/api/auth/logoutall/"), ("GET", TOKENS), ("POST", TOKENS),
    ("DELETE", TOKENS + "{parent}/"), ("DELETE", TOKENS + "{child}/"), ("GET", TOKENS + "{parent}/children/"),
    ("GET", "/api/auth/events/"), ("POST", "/api/auth/introspect/"), ("POST", "/api/auth/revoke/"),
    ("GET", "/api/v1/organizations/"), ("HEAD", TOKENS), ("OPTIONS", TOKENS), ("PUT", TOKENS),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_every_endpoint_but_verify_answers_403_to_a_child(
    method: str, path: str, behind: Serving, accounts: Accounts, owner: Person
) -> None:
    parent = accounts.log_in(owner)
    child = issued(behind, parent, methods=["GET", "POST", "DELETE"], paths=["/"])
    target = path.format(parent=parent[4:16], child=child[4:16])
    for headers in ((), (("X-Forwarded-Method", "POST"), ("X-Forwarded-Uri", target))):
        reply = exchange(
            behind.port, method, target, [*with_token(child), FORM, *headers], f"token={parent}".encode()
        )
        assert reply.status == 403
        assert method == "HEAD" or reply.json == FORBIDDEN
    assert verify(behind, child).status == 200
    assert verify(behind, parent).status == 200


def test_to_introspection_a_child_is_not_active(behind: Serving, accounts: Accounts, owner: Person) -> None:
    parent = accounts.log_in(owner)
    child = issued(behind, parent, methods=["GET"], paths=["/"])
    for _ in range(4):
        reply = exchange(
            behind.port,
            "POST",
            "/api/auth/introspect/",
            [*with_token(parent), FORM, *TOLD],
            f"token={child}".encode(),
        )
        assert (reply.status, reply.json) == (200, {"active": False})


# Ending one


def revoke_presented(server: Serving, token: str, presented: str) -> int:
    headers = [*with_token(token), FORM]
    return exchange(server.port, "POST", "/api/auth/revoke/", headers, f"token={presented}".encode()).status


def test_who_may_see_and_end_children(behind: Serving, accounts: Accounts, owner: Person) -> None:
    member = accounts.add_person_to(owner.organization_id, Role.MEMBER)
    stranger = accounts.log_in(accounts.add_person())
    owners, members = accounts.log_in(owner), accounts.log_in(member)
    children = {parent: [issued(behind, parent, name="x") for _ in range(3)] for parent in (owners, members)}

    def listed(caller: list[tuple[str, str]], parent: str, query: str = "") -> set[str] | int:
        reply = exchange(behind.port, "GET", f"{TOKENS}{parent[4:16]}/children/{query}", caller)
        return {item["id"] for item in reply.json["results"]} if reply.status == 200 else reply.status

    ids = {parent: {child[4:16] for child in made} for parent, made in children.items()}
    assert listed(with_token(owners), owners) == ids[owners]
    assert listed(with_token(owners), members) == ids[members]
    assert listed(with_token(members), members) == ids[members]
    assert listed(with_token(members), owners) == 404
    assert listed(with_token(stranger), owners) == 404
    assert listed(with_token(owners), "nlt_000000000000") == 404
    assert listed(with_token(owners), children[owners][0]) == 404  # a child has none
    assert listed(basic(owner), members, f"?organization_id={owner.organization_id}") == ids[members]
    assert listed(basic(owner), members, "?organization_id=zz") == 401
    page = exchange(behind.port, "GET", f"{TOKENS}{owners[4:16]}/children/?limit=2", with_token(owners)).json
    assert (page["count"], len(page["results"])) == (3, 2)
    assert "offset=2" in page["next"]
    shown = page["results"][0]
    assert set(shown) == {
        "id", "name", "user", "created", "expiry", "methods", "paths", "origin", "addresses",
    }  # fmt: skip
    assert (shown["name"], shown["user"], shown["methods"]) == ("x", owner.username, ["POST", "PATCH"])

    def end(caller: list[tuple[str, str]], child: str) -> int:
        return exchange(behind.port, "DELETE", f"{TOKENS}{child[4:16]}/", caller).status

    assert end(with_token(members), children[owners][0]) == 404
    assert end(with_token(stranger), children[owners][0]) == 404
    assert statuses(behind, children[owners][0]) == {200}
    for caller, child in ((owners, children[members][0]), (members, children[members][1])):
        assert statuses(behind, child) == {200}
        assert end(with_token(caller), child) == 204
        assert statuses(behind, child) == {401}
        assert end(with_token(caller), child) == 404
    assert revoke_presented(behind, stranger, children[members][2]) == 200
    assert statuses(behind, children[members][2]) == {200}
    assert revoke_presented(behind, owners, children[members][2]) == 200
    assert statuses(behind, children[members][2]) == {401}
    assert statuses(behind, members) == {200}


@dataclass
class Scene:
    """A member with a token and a child of it, and an owner who does things to them."""

    accounts: Accounts
    server: Serving
    owner: Person
    member: Person
    token: str

    @property
    def organization_id(self) -> OrganizationId:
        return OrganizationId(self.owner.organization_id)

    def post(self, path: str, token: str) -> None:
        assert exchange(self.server.port, "POST", path, with_token(token)).status == 204

    def delete(self) -> None:
        by = with_token(self.accounts.log_in(self.owner))
        assert exchange(self.server.port, "DELETE", f"{TOKENS}{self.token[4:16]}/", by).status == 204

    def replace(self) -> None:
        change = OrganizationChange(token_limit=1, limit_policy=LimitPolicy.REPLACE_OLDEST)
        self.accounts.do(update_organization, self.organization_id, change)
        assert post_json(self.server.port, "/api/auth/login/", self.owner.login_body).status == 200


ENDS: dict[str, Callable[[Scene], object]] = {
    "logout": lambda scene: scene.post("/api/auth/logout/", scene.token),
    "logoutall by another token": lambda scene: scene.post(
        "/api/auth/logoutall/", scene.accounts.log_in(scene.member)
    ),
    "delete": lambda scene: scene.delete(),
    "presented": lambda scene: revoke_presented(
        scene.server, scene.accounts.log_in(scene.owner), scene.token
    ),
    "login that replaces": lambda scene: scene.replace(),
    "operator, one": lambda scene: scene.accounts.do(revoke_one, scene.organization_id, scene.token[4:16]),
    "operator, all": lambda scene: scene.accounts.do(revoke_all, scene.organization_id, None),
    "password": lambda scene: scene.accounts.do(set_password, scene.member.username, "another long password"),
    "disabled user": lambda scene: scene.accounts.do(disable_user, scene.member.username),
    "removed member": lambda scene: scene.accounts.do(
        remove_member, scene.organization_id, scene.member.username
    ),
    "closed organization": lambda scene: scene.accounts.do(close_organization, scene.organization_id),
}


@pytest.mark.parametrize("end", ENDS)
def test_when_a_parents_end_is_answered_its_children_are_refused_everywhere(
    end: str, behind: Serving, accounts: Accounts, owner: Person
) -> None:
    member = accounts.add_person_to(owner.organization_id, Role.MEMBER)
    scene = Scene(accounts, behind, owner, member, accounts.log_in(member))
    children = [issued(behind, scene.token) for _ in range(3)]
    for child in children:
        assert statuses(behind, child) == {200}
    other = accounts.add_person()
    spared = issued(behind, accounts.log_in(other))
    ENDS[end](scene)
    for child in children:
        assert statuses(behind, child, 4) == {401}
    assert accounts.sql("SELECT count(*) FROM child_token WHERE parent_id = :id", id=scene.token[4:16]) == [
        (0,)
    ]
    assert statuses(behind, spared) == {200}


def test_h10_no_child_outlives_the_logout_it_races_with(
    behind: Serving, server: Serving, accounts: Accounts, owner: Person
) -> None:
    for _ in range(5):
        parent = accounts.log_in(owner)

        def make(number: int, parent: str = parent) -> Reply:
            return issue((behind, server)[number % 2], parent)

        with ThreadPoolExecutor(20) as pool:
            making = [pool.submit(make, number) for number in range(30)]
            assert exchange(behind.port, "POST", "/api/auth/logout/", with_token(parent)).status == 204
            ended = [reply for task in making if (reply := task.result()).status != 401]
        assert {reply.status for reply in ended} <= {201}
        for reply in ended:
            assert statuses(behind, reply.json["token"], 2) == {401}
        assert accounts.sql("SELECT count(*) FROM child_token WHERE parent_id = :id", id=parent[4:16]) == [
            (0,)
        ]


RAW: dict[str, str] = {
    "a shorter life of the parent": "UPDATE token SET expiry = {ago} WHERE id = '{parent}'",
    "a shorter life of the child": "UPDATE child_token SET expiry = {ago} WHERE parent_id = '{parent}'",
    "another path": "UPDATE child_token SET paths = '/other' WHERE parent_id = '{parent}'",
    "nonsense in a column": "UPDATE child_token SET networks = 'x' WHERE parent_id = '{parent}'",
    "a disabled user": "UPDATE \"user\" SET disabled = {ago} WHERE email = '{email}'",
    "a closed organization": "UPDATE organization SET closed = {ago} WHERE id = '{organization}'",
    "a deleted membership": "DELETE FROM membership WHERE organization_id = '{organization}'",
    "a deleted child": "DELETE FROM child_token WHERE parent_id = '{parent}'",
}


@pytest.mark.parametrize("write", RAW)
def test_h29_raw_sql_reaches_memory_of_children_too(
    write: str, behind: Serving, accounts: Accounts, owner: Person
) -> None:
    parent = accounts.log_in(owner)
    child = issued(behind, parent)
    assert statuses(behind, child) == {200}
    accounts.sql(
        RAW[write].format(
            ago=accounts.an_hour_ago,
            parent=parent[4:16],
            email=owner.username,
            organization=owner.organization_id,
        )
    )
    accounts.run(accounts.services.currency.wait_in_force())
    assert not statuses(behind, child) & {200}


def test_a_child_ends_with_its_own_expiry(behind: Serving, accounts: Accounts, owner: Person) -> None:
    parent = accounts.log_in(owner)
    child, other = issued(behind, parent), issued(behind, parent)
    accounts.sql(f"UPDATE child_token SET expiry = {accounts.an_hour_ago} WHERE id = :id", id=child[4:16])
    accounts.run(accounts.services.currency.wait_in_force())
    assert statuses(behind, child) == {401}
    assert statuses(behind, other) == {200}
    listed = exchange(behind.port, "GET", f"{TOKENS}{parent[4:16]}/children/", with_token(parent)).json
    assert [item["id"] for item in listed["results"]] == [other[4:16]]


def test_a_day_after_their_end_children_are_pruned(
    behind: Serving, accounts: Accounts, owner: Person
) -> None:
    parent = accounts.log_in(owner)
    ages = {hours: issued(behind, parent)[4:16] for hours in (0, 23, 25)}
    for hours, child_id in ages.items():
        moment = f"{accounts.an_hour_ago} - interval '{hours} hours'"
        if accounts.engines.sqlite_file is not None:
            moment = f"{accounts.an_hour_ago} - {hours} * 3600000000"
        accounts.sql(f"UPDATE child_token SET expiry = {moment} WHERE id = :id", id=child_id)
    accounts.do(prune_expired)
    left = accounts.sql("SELECT id FROM child_token WHERE parent_id = :id", id=parent[4:16])
    assert {row[0] for row in left} == {ages[0]}


# What is recorded


def test_making_and_ending_are_events_and_a_use_is_the_parents(
    behind: Serving, accounts: Accounts, owner: Person
) -> None:
    parent = accounts.log_in(owner)
    children = [issued(behind, parent, origin="https://a.example", addresses=["192.0.2.1"]) for _ in range(2)]
    assert verify(behind, children[0], TOLD, ("X-Forwarded-For", "192.0.2.1")).status == 403
    path = f"{TOKENS}{children[0][4:16]}/"
    assert exchange(behind.port, "DELETE", path, with_token(parent)).status == 204
    assert revoke_presented(behind, parent, children[1]) == 200
    events = exchange(behind.port, "GET", "/api/auth/events/?limit=4", with_token(parent)).json["results"]
    kinds = [(event["kind"], event["token_id"]) for event in reversed(events)]
    assert kinds == [
        ("child_token_issued", children[0][4:16]),
        ("child_token_issued", children[1][4:16]),
        ("child_token_revoked", children[0][4:16]),
        ("child_token_revoked", children[1][4:16]),
    ]
    assert all(event["actor_token_id"] == parent[4:16] for event in events)
    assert events[-1]["detail"] == {
        "parent_id": parent[4:16], **SCOPE, "origin": "https://a.example", "addresses": ["192.0.2.1/32"],
    }  # fmt: skip
    assert events[1]["detail"] == {"by": "owner", "parent_id": parent[4:16]}
    assert events[0]["detail"] == {"by": "presenter", "parent_id": parent[4:16]}
    assert not any(child in str(events) for child in children)


def test_the_use_of_a_child_is_its_parents_last(behind: Serving, accounts: Accounts, owner: Person) -> None:
    parent = accounts.log_in(owner)
    child = issued(behind, parent)
    other = with_token(accounts.log_in(owner))
    used: dict[str, Any] = {}
    for _ in range(200):
        assert verify(behind, child, TOLD, ("X-Forwarded-For", "203.0.113.9")).status == 200
        listed = exchange(behind.port, "GET", TOKENS, other).json["results"]
        used = next(item for item in listed if item["id"] == parent[4:16])
        if used["last_address"] == "203.0.113.9":
            break
    assert used["last_address"] == "203.0.113.9"


def test_a_use_that_is_refused_is_nobodys(
    database: Database, tmp_path: Path, accounts: Accounts, owner: Person
) -> None:
    parents = [accounts.log_in(owner) for _ in range(3)]
    never, once, at_endpoints = (accounts.issue_child(parent, ["GET"], ["/a"]) for parent in parents)
    serving = Serving(database.url, tmp_path / "log", trusted_proxies="127.0.0.1").wait_ready()
    try:
        for _ in range(3):  # read from the database, then from memory
            assert verify(serving, never, told("GET", "/b")).status == 403
            assert verify(serving, never, ()).status == 403
            assert exchange(serving.port, "GET", TOKENS, with_token(at_endpoints)).status == 403
        for target, client, status in (
            ("/b", "203.0.113.1", 403), ("/a", "203.0.113.2", 200), ("/b", "203.0.113.3", 403),
        ):  # fmt: skip
            from_there = ("X-Forwarded-For", client)
            assert verify(serving, once, told("GET", target, from_there)).status == status
    finally:
        assert serving.stop() == 0  # and everything is flushed
    uses = accounts.sql(
        "SELECT token_id, address FROM token_use JOIN token ON token.id = token_id "
        "WHERE organization_id = :id",
        id=owner.organization_id,
    )
    assert [tuple(use) for use in uses] == [(parents[1][4:16], "203.0.113.2")]


@ON_SQLITE
def test_av8_a_use_that_is_refused_writes_no_line(
    database: Database, tmp_path: Path, accounts: Accounts, owner: Person
) -> None:
    child = accounts.issue_child(accounts.log_in(owner), ["GET"], ["/a"])
    serving = Serving(database.url, tmp_path / "log", trusted_proxies="127.0.0.1").wait_ready()
    try:
        before = len(serving.log.read_text().splitlines())
        for _ in range(10):
            assert verify(serving, child, told("GET", "/b")).status == 403
    finally:
        assert serving.stop() == 0
    written = serving.log.read_text()
    assert child[4:16] not in written
    assert len(written.splitlines()) - before < 5  # those of the stop


def test_no_child_token_is_in_the_log(behind: Serving, accounts: Accounts, owner: Person) -> None:
    child = issued(behind, accounts.log_in(owner))
    verify(behind, child)
    verify(behind, child, ())
    exchange(behind.port, "GET", TOKENS, with_token(child))
    log = Path(behind.log).read_text()
    assert child[4:16] in log
    assert child[17:] not in log
