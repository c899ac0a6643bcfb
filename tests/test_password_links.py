"""Links to set a password: once, in time, for one user, and in force everywhere when answered."""

import dataclasses
import html
import json
import re
import secrets
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from nightlatch.model.errors import CredentialsRejected, InvalidValue, NotFound, Refused
from nightlatch.model.names import OrganizationId, Role
from nightlatch.model.origin import Origin
from nightlatch.usecases.add_user import add_user_with_link
from nightlatch.usecases.disable_user import disable_user, enable_user
from nightlatch.usecases.issue_password_link import issue_password_link
from nightlatch.usecases.prune import prune_expired
from nightlatch.usecases.set_password import set_password
from nightlatch.usecases.use_password_link import find_password_link, use_password_link
from tests.accounts import PASSWORD, Accounts, Person
from tests.conftest import Database
from tests.crowd import exchange_at_once
from tests.serving import Serving
from tests.sockets import exchange, post_json, request_bytes, with_token

pytestmark = [pytest.mark.slow, pytest.mark.every_release]

NEW = "quite another password"
ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
def person(accounts: Accounts) -> Person:
    owner = accounts.add_person()
    return accounts.add_person_to(owner.organization_id, Role.MEMBER)


def issue(accounts: Accounts, person: Person, seconds: int = 3600) -> str:
    return accounts.do(issue_password_link, person.username, seconds).secret.reveal()


def refused(accounts: Accounts, link: str, password: str = NEW) -> InvalidValue:
    with pytest.raises(InvalidValue) as raised:
        accounts.do(use_password_link, link, password, Origin())
    return raised.value


def has_password(accounts: Accounts, person: Person, password: str) -> bool:
    try:
        accounts.log_in(Person(person.organization_id, person.username, password))
    except CredentialsRejected:
        return False
    return True


# What a link does


def test_a_link_sets_the_password_once(accounts: Accounts, person: Person) -> None:
    link = issue(accounts, person)
    assert has_password(accounts, person, PASSWORD)
    accounts.do(use_password_link, link, NEW, Origin())
    assert has_password(accounts, person, NEW)
    assert not has_password(accounts, person, PASSWORD)
    again = refused(accounts, link, "a third long password")
    assert (again.field, "has been used" in again.public) == ("link", True)
    assert has_password(accounts, person, NEW)


def test_of_two_that_use_a_link_at_once_one_wins(accounts: Accounts, person: Person, server: Serving) -> None:
    for round_number in range(10):
        link = issue(accounts, person)
        passwords = [f"password number {round_number}.{number} of some" for number in range(8)]
        requests = [
            request_bytes(
                "POST",
                "/api/auth/password/",
                [("Content-Type", "application/json")],
                json.dumps({"link": link, "password": password}).encode(),
            )
            for password in passwords
        ]
        replies = exchange_at_once(server.port, requests)
        statuses = [reply.status for reply in replies if reply is not None]
        assert sorted(statuses) == [204] + 7 * [400]
        winner = passwords[statuses.index(204)]
        assert [p for p in passwords if has_password(accounts, person, p)] == [winner]


def test_an_expired_link_is_refused_and_says_so(accounts: Accounts, person: Person) -> None:
    link = issue(accounts, person)
    accounts.sql(f"UPDATE password_link SET expiry = {accounts.an_hour_ago}")
    assert "has expired" in refused(accounts, link).public
    with pytest.raises(InvalidValue, match="has expired"):
        accounts.do(find_password_link, link)
    assert has_password(accounts, person, PASSWORD)


def test_a_link_that_expires_during_the_hash_is_refused(
    accounts: Accounts, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transaction judges once more, by the database's clock."""
    link = issue(accounts, person)
    hashed = accounts.services.passwords.hash

    async def expire_meanwhile(password: str) -> str:
        async with accounts.engines.writing.begin() as connection:
            from sqlalchemy import text

            await connection.execute(text(f"UPDATE password_link SET expiry = {accounts.an_hour_ago}"))
        return await hashed(password)

    monkeypatch.setattr(accounts.services.passwords, "hash", expire_meanwhile)
    assert refused(accounts, link).field == "link"
    monkeypatch.undo()
    assert has_password(accounts, person, PASSWORD)


def test_a_new_link_ends_the_one_before_and_no_other_users(accounts: Accounts, person: Person) -> None:
    other = accounts.add_person()
    others = issue(accounts, other)
    older, newer = issue(accounts, person), issue(accounts, person)
    assert "newer one has replaced it" in refused(accounts, older).public
    accounts.do(use_password_link, newer, NEW, Origin())
    assert accounts.do(find_password_link, others).email == other.username
    accounts.do(use_password_link, others, NEW, Origin())
    assert has_password(accounts, other, NEW)


@pytest.mark.parametrize("end", ["password", "disable"])
def test_another_password_and_being_disabled_end_the_link(
    end: str, accounts: Accounts, person: Person
) -> None:
    link = issue(accounts, person)
    if end == "password":
        accounts.do(set_password, person.username, NEW)
    else:
        accounts.do(disable_user, person.username)
        with pytest.raises(Refused, match="nightlatch user enable"):
            issue(accounts, person)
        accounts.do(enable_user, person.username)
    assert refused(accounts, link, "a third long password").field == "link"
    assert has_password(accounts, person, NEW if end == "password" else PASSWORD)


def test_a_refused_password_leaves_the_link_usable(accounts: Accounts, person: Person) -> None:
    accounts.sql(
        "UPDATE organization SET name = 'Acme International' WHERE id = :id", id=person.organization_id
    )
    link = issue(accounts, person)
    for password in ("too short", "correcthorsebatterystaple", person.username, "acme international", link):
        assert refused(accounts, link, password).field == "password", password
    accounts.do(use_password_link, link, NEW, Origin())


def test_a_link_is_valid_for_a_second_to_thirty_days(accounts: Accounts, person: Person) -> None:
    for seconds in (0, -1, 30 * 86400 + 1):
        with pytest.raises(InvalidValue, match="30 days"):
            issue(accounts, person, seconds)
    issue(accounts, person, 30 * 86400)
    with pytest.raises(NotFound):
        accounts.do(issue_password_link, "nobody@example.com", 60)


def test_a_malformed_link_costs_no_statement(accounts: Accounts, person: Person) -> None:
    link = issue(accounts, person)
    without_database = dataclasses.replace(accounts.services, store=None)  # type: ignore[arg-type]
    for text in ("", "x", link[:-1], link + "x", link[:10] + ("a" if link[10] != "a" else "b") + link[11:]):
        for attempt in (
            find_password_link(without_database, text),
            use_password_link(without_database, text, NEW, Origin()),
        ):
            with pytest.raises(InvalidValue, match="incomplete"):
                accounts.run(attempt)


def test_the_database_holds_a_digest_only(accounts: Accounts, person: Person) -> None:
    link = issue(accounts, person)
    rows = accounts.sql("SELECT digest FROM password_link")
    assert all(len(bytes(row[0])) == 32 for row in rows)
    assert link.encode() not in b"".join(bytes(row[0]) for row in rows)


def test_a_link_is_deleted_a_week_after_it_expired(accounts: Accounts, database: Database) -> None:
    links = {}
    for days in (6, 8):
        person = accounts.add_person()
        links[days] = issue(accounts, person)
        moment = (
            f"{accounts.an_hour_ago} - {days * 24 * 3600 * 1_000_000}"
            if database.kind == "sqlite"
            else f"now() - interval '{days} days'"
        )
        whose = '(SELECT id FROM "user" WHERE email = :email)'
        accounts.sql(
            f"UPDATE password_link SET expiry = {moment} WHERE user_id = {whose}", email=person.username
        )
    accounts.do(prune_expired)
    assert "has expired" in refused(accounts, links[6]).public
    assert "has been used" in refused(accounts, links[8]).public


# Who has been added with a link


def test_who_was_added_with_a_link_logs_in_only_after_using_it(accounts: Accounts, server: Serving) -> None:
    organization = OrganizationId(accounts.add_person().organization_id)
    email = f"{secrets.token_hex(6)}@example.com"
    _, link = accounts.do(add_user_with_link, email, organization, Role.MEMBER, 3600)
    person = Person(organization, email)
    bodies = set()
    for password in (PASSWORD, "", " ", link.secret.reveal(), "none", "!"):
        reply = post_json(server.port, "/api/auth/login/", {**person.login_body, "password": password})
        assert reply.status == 400
        bodies.add(reply.body)
    unknown = {**person.login_body, "username": "nobody@example.com"}
    assert post_json(server.port, "/api/auth/login/", unknown).body in bodies
    accounts.do(use_password_link, link.secret.reveal(), NEW, Origin())
    assert has_password(accounts, person, NEW)


def test_who_has_no_password_yet_costs_the_hash_that_everybody_costs(
    accounts: Accounts, person: Person
) -> None:
    """What is stored is a hash of the same kind, with the same parameters."""
    email = f"{secrets.token_hex(6)}@example.com"
    accounts.do(add_user_with_link, email, OrganizationId(person.organization_id), Role.MEMBER, 60)
    query = 'SELECT password_hash FROM "user" WHERE email IN (:one, :other)'
    hashes = [row[0] for row in accounts.sql(query, one=email, other=person.username)]
    assert len({text.rsplit("$", 2)[0] for text in hashes}) == 1
    assert {text.split("$")[1] for text in hashes} == {"argon2id"}


# In force


def test_tokens_are_refused_by_another_process_when_the_answer_is_there(
    accounts: Accounts, database: Database, server: Serving, tmp_path: Any
) -> None:
    other = Serving(database.url, tmp_path / "log").wait_ready()
    try:
        for _ in range(5):
            person = accounts.add_person()
            tokens = [accounts.log_in(person) for _ in range(3)]
            for token in tokens:
                assert exchange(other.port, "GET", "/api/auth/verify/", with_token(token)).status == 200
            body = {"link": issue(accounts, person), "password": NEW}
            assert post_json(server.port, "/api/auth/password/", body).status == 204
            for token in tokens:
                assert exchange(other.port, "GET", "/api/auth/verify/", with_token(token)).status == 401
    finally:
        assert other.stop() == 0


def test_whoever_asks_again_for_a_lost_answer_waits_as_well(
    accounts: Accounts, database: Database, person: Person
) -> None:
    """H15: 'has been used' tells that the tokens have ended, so it may not come before they have."""
    link = issue(accounts, person)
    for attempt in range(2):
        begun = time.monotonic()
        if attempt == 0:
            accounts.do(use_password_link, link, NEW, Origin())
        else:
            refused(accounts, link)
        if database.kind != "sqlite":
            assert time.monotonic() - begun >= 0.25 * 1.1


# For programs


def test_wrong_fields_are_answered_as_fields(accounts: Accounts, person: Person, server: Serving) -> None:
    link = issue(accounts, person)

    def answer(body: Any) -> Any:
        reply = post_json(server.port, "/api/auth/password/", body)
        assert reply.status == 400
        return reply.json

    required = ["This field is required."]
    assert answer({}) == {"link": required, "password": required}
    assert answer({"link": None, "password": ""}) == {
        "link": ["This field may not be null."],
        "password": ["This field may not be blank."],
    }
    assert answer([]) == {"non_field_errors": ["Invalid data. Expected a dictionary, but got list."]}
    assert list(answer({"link": link, "password": "short"})) == ["password"]
    assert "15 characters" in answer({"link": link, "password": "short"})["password"][0]
    assert "incomplete" in answer({"link": link[:-1], "password": NEW})["link"][0]
    assert exchange(server.port, "GET", "/api/auth/password/").headers["allow"] == "POST, OPTIONS"
    begun = time.monotonic()
    assert (
        post_json(server.port, "/api/auth/password/", {"link": link, "password": "x" * 2**20}).status == 413
    )
    assert "1024 bytes" in answer({"link": link, "password": "x" * 60_000})["password"][0]
    assert time.monotonic() - begun < 2
    assert post_json(server.port, "/api/auth/password", {"link": f" {link}\n", "password": NEW}).status == 204


# The page


@pytest.fixture
def browser(server: Serving) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=20) as client:
        yield client


def fields(page: str) -> dict[str, str]:
    """What a browser would send of the page's form, as far as it is filled in."""
    found = {}
    for tag in re.findall(r"<input [^>]*>", page):
        attributes = dict(re.findall(r'(\w+)="([^"]*)"', tag))
        found[attributes["name"]] = html.unescape(attributes.get("value", ""))
    return found


def test_the_page_sets_a_password_without_a_script(
    accounts: Accounts, person: Person, browser: httpx.Client
) -> None:
    link = issue(accounts, person)
    token = accounts.log_in(person)
    for _ in range(3):  # a mail scanner, a preview, the person
        page = browser.get("/set-password/", params={"link": link})
        assert browser.head("/set-password", params={"link": link}).status_code == 200
    assert page.status_code == 200
    assert "<script" not in page.text
    assert not re.search(r'(?:src|href)="', page.text)
    assert '<form method="post" action="?">' in page.text
    form = fields(page.text)
    assert form == {"link": link, "username": person.username, "password": ""}
    for attributes in ('autocomplete="username" readonly', 'type="password" name="password"'):
        assert attributes in page.text
    assert 'autocomplete="new-password"' in page.text
    assert "At least 15 characters" in page.text

    for password, reason in (
        ("knapp sechs", "11 of at least 15"),
        ("correcthorsebatterystaple", "guessed first"),
        ("", "is empty"),
        ("x" * 1025, "1024 bytes"),
    ):
        page = browser.post("/set-password/", data={**form, "password": password})
        assert page.status_code == 400
        assert reason in re.findall(r'role="alert">([^<]*)<', page.text)[0]
        assert not password or password not in page.text
        assert fields(page.text) == form

    page = browser.post("/set-password/", data={**form, "password": NEW})
    assert page.status_code == 200
    assert "Your password is set" in page.text
    assert "All tokens that you had have ended" in page.text
    assert browser.get("/api/auth/verify/", headers={"Authorization": f"Token {token}"}).status_code == 401
    assert has_password(accounts, person, NEW)

    for page in (
        browser.get("/set-password/", params={"link": link}),
        browser.post("/set-password/", data={**form, "password": NEW}),
    ):
        assert page.status_code == 404
        assert "has been used" in page.text


def test_a_link_that_does_not_work_has_a_page_that_says_why(
    accounts: Accounts, person: Person, browser: httpx.Client
) -> None:
    link = issue(accounts, person)
    accounts.sql(f"UPDATE password_link SET expiry = {accounts.an_hour_ago}")
    for text, reason in (
        (link, "has expired"),
        (link[:-1], "incomplete"),
        ("", "incomplete"),
        ("<b>", "incomplete"),
    ):
        for page in (
            browser.get("/set-password/", params={"link": text}),
            browser.post("/set-password/", data={"link": text, "password": NEW}),
        ):
            assert page.status_code == 404
            assert page.headers["content-type"] == "text/html; charset=utf-8"
            assert reason in page.text
            assert "<b>" not in page.text


@ON_SQLITE
def test_the_page_can_load_nothing_be_framed_nowhere_and_tells_no_other_site_its_address(
    accounts: Accounts, person: Person, browser: httpx.Client
) -> None:
    import base64
    import hashlib

    link = issue(accounts, person)
    pages = [
        browser.get("/set-password/", params={"link": link}),
        browser.get("/set-password/", params={"link": "x"}),
        browser.post("/set-password/", data={"link": link, "password": "short"}),
        browser.post("/set-password/", data={"link": link}, headers={"Sec-Fetch-Site": "cross-site"}),
        browser.post("/set-password/", data={"link": link, "password": NEW}),
    ]
    assert [page.status_code for page in pages] == [200, 404, 400, 403, 200]
    for page in pages:
        style = re.findall(r"<style>(.*?)</style>", page.text, re.DOTALL)
        assert len(style) == 1
        digest = base64.b64encode(hashlib.sha256(style[0].encode()).digest()).decode()
        assert page.headers["content-security-policy"] == (
            f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; "
            "frame-ancestors 'none'; base-uri 'none'"
        )
        assert "style=" not in page.text
        assert page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["x-content-type-options"] == "nosniff"


@ON_SQLITE
@pytest.mark.parametrize(
    ("headers", "accepted"),
    [
        ({}, True),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "x"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://HOST"}, False),
        ({"Origin": "null"}, True),
        ({"Origin": "http://HOST"}, True),
        ({"Origin": "https://auth.example.com", "Host": "127.0.0.1:9"}, True),
        ({"Origin": "https://auth.example.co"}, False),
        ({"Origin": "https://auth.example.com.evil.example"}, False),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "http://HOST.evil.example"}, False),
        ({"Origin": ""}, False),
    ],
    ids=str,
)
def test_a_form_that_another_site_sends_is_refused(
    headers: dict[str, str], accepted: bool, accounts: Accounts, person: Person, behind: Serving
) -> None:
    host = f"127.0.0.1:{behind.port}"
    headers = {name: value.replace("HOST", host) for name, value in headers.items()}
    link = issue(accounts, person)
    page = httpx.post(
        f"http://{host}/set-password/", data={"link": link, "password": NEW}, headers=headers, timeout=20
    )
    assert page.status_code == (200 if accepted else 403)
    assert has_password(accounts, person, NEW) is accepted


@pytest.fixture(scope="module")
def behind(
    database: Database, accounts: Accounts, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Serving]:
    """A server that people reach at another address, and with another minimum length."""
    serving = Serving(
        database.url,
        tmp_path_factory.mktemp("behind") / "log",
        public_url="https://auth.example.com/login",
        password_length_min=8,
        log_level="debug",
    ).wait_ready()
    yield serving
    assert serving.stop() == 0


@ON_SQLITE
def test_the_minimum_length_is_a_setting(accounts: Accounts, person: Person, behind: Serving) -> None:
    link = issue(accounts, person)
    base = f"http://127.0.0.1:{behind.port}/set-password/"
    assert "At least 8 characters" in httpx.get(base, params={"link": link}).text
    assert "7 of at least 8" in httpx.post(base, data={"link": link, "password": "a1B2 vx"}).text
    assert "guessed first" in httpx.post(base, data={"link": link, "password": "PassWord"}).text
    assert httpx.post(base, data={"link": link, "password": "a1B2 vx?"}).status_code == 200
    assert has_password(accounts, person, "a1B2 vx?")


@ON_SQLITE
def test_hostile_names_are_text_on_the_page(accounts: Accounts, browser: httpx.Client) -> None:
    hostile = "\"><script>alert(1)</script>'&lt;{{7*7}}<img/src=x>@example.com"
    _, link = accounts.do(add_user_with_link, hostile, None, Role.MEMBER, 3600)
    form = {"link": link.secret.reveal()}
    for page in (
        browser.get("/set-password/", params=form),
        browser.post("/set-password/", data={**form, "password": "short"}),
    ):
        assert "<script" not in page.text
        assert "<img" not in page.text
        assert "{{7*7}}" in page.text
        assert fields(page.text)["username"] == hostile


@ON_SQLITE
def test_no_link_and_no_password_is_in_the_log(accounts: Accounts, person: Person, behind: Serving) -> None:
    link = issue(accounts, person)
    base = f"http://127.0.0.1:{behind.port}"
    for password in ("short", NEW + "!", NEW + "?"):
        httpx.get(f"{base}/set-password/", params={"link": link})
        httpx.post(f"{base}/set-password/?link={link}", data={"link": link, "password": password})
        httpx.post(f"{base}/api/auth/password/?link={link}", json={"link": link, "password": password})
        httpx.post(f"{base}/api/auth/password/", json={"link": link + "x", "password": password})
        httpx.put(f"{base}/set-password/?link={link}")
    log = behind.log.read_text()
    assert "password_set_by_link" in log
    assert "password_link_refused" in log
    assert link[4:20] not in log
    assert NEW not in log


def test_without_a_database_the_page_says_so_and_the_link_still_works(tmp_path: Any) -> None:
    accounts = Accounts(f"sqlite:///{tmp_path}/nightlatch.db")
    serving = Serving(accounts.database_url, tmp_path / "log").wait_ready()
    try:
        person = accounts.add_person()
        link = issue(accounts, person)
        base = f"http://127.0.0.1:{serving.port}/set-password/"
        accounts.sql("ALTER TABLE password_link RENAME TO away")
        for page in (
            httpx.get(base, params={"link": link}),
            httpx.post(base, data={"link": link, "password": NEW}),
        ):
            assert page.status_code == 503
            assert page.headers["retry-after"] == "1"
            assert "Not possible at the moment" in page.text
        accounts.sql("ALTER TABLE away RENAME TO password_link")
        assert httpx.post(base, data={"link": link, "password": NEW}).status_code == 200
    finally:
        serving.stop()
        accounts.close()
