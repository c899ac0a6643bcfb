"""A session in the console: its cookie, its secret, its ends, and what may be done in it (CO1, CO4)."""

import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import pytest
from sqlalchemy import text

from nightlatch.console.cookies import LANGUAGE, ORGANIZATIONS, SESSION
from nightlatch.model.names import OrganizationId, Role, TokenId
from nightlatch.model.secret import SESSION as SESSION_SECRET
from nightlatch.usecases.change_role import change_role
from nightlatch.usecases.close_organization import close_organization
from nightlatch.usecases.disable_user import disable_user, enable_user
from nightlatch.usecases.issue_password_link import issue_password_link
from nightlatch.usecases.prune import prune_expired
from nightlatch.usecases.remove_member import remove_member
from nightlatch.usecases.set_password import set_password
from nightlatch.usecases.start_over import start_over
from nightlatch.usecases.use_password_link import use_password_link
from tests.accounts import PASSWORD, Accounts, Person
from tests.conftest import Database, new_database
from tests.console_browser import OWN, Browser, Page, signed_in
from tests.console_people import NEW, ORIGIN, Scene, new_scene, stored, token_id
from tests.serving import Serving
from tests.sockets import exchange, post_json, with_token

ASKS_AGAIN_AFTER_SECONDS = 10 * 60


@pytest.fixture
def scene(accounts: Accounts) -> Scene:
    return new_scene(accounts)


@pytest.fixture(scope="module")
def other_node(
    database: Database, accounts: Accounts, server: Serving, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Serving]:
    """Another server on the same database."""
    serving = Serving(database.url, tmp_path_factory.mktemp("node") / "log").wait_ready()
    yield serving
    assert serving.stop() == 0


def attributes(cookie: str) -> tuple[str, str, set[str]]:
    pair, *rest = cookie.split("; ")
    name, _, value = pair.partition("=")
    return name, value, {each.lower() for each in rest}


def shift(accounts: Accounts, column: str, seconds: float, digest: bytes) -> None:
    """Move a moment of a session into the past."""
    if accounts.engines.sqlite_file is not None:
        earlier = f"{column} - {int(seconds * 1_000_000)}"
    else:
        earlier = f"{column} - interval '{seconds} seconds'"
    accounts.sql(f"UPDATE session SET {column} = {earlier} WHERE digest = :digest", digest=digest)


def digest_of(browser: Browser) -> bytes:
    return sha256(browser.session.encode()).digest()


def is_led_to_the_sign_in(page: Page) -> bool:
    return page.status == 303 and page.header("location").startswith("/console/sign-in/")


# The cookie


def test_cookies_are_for_this_host_and_https_alone_and_no_script_reads_them(
    scene: Scene, server: Serving, accounts: Accounts
) -> None:
    browser = Browser(server.port)
    given: list[str] = []
    given += browser.get("/console/sign-in/?language=de").cookies
    answer = browser.post("/console/sign-in/", scene.owner.login_body)
    given += answer.cookies + browser.get(answer.header("location")).cookies
    shift(accounts, "confirmed", ASKS_AGAIN_AFTER_SECONDS + 60, digest_of(browser))
    given += browser.post("/console/tokens/new/", {"name": "x", "current_password": PASSWORD}).cookies
    given += browser.post(
        "/console/account/", {"do": "password", "current_password": PASSWORD, "new_password": NEW}
    ).cookies
    secrets = [value for name, value, _ in map(attributes, given) if name == SESSION]
    given += browser.post("/console/sign-out/", {}).cookies
    assert [attributes(cookie)[0] for cookie in given] == [LANGUAGE, SESSION, ORGANIZATIONS, *[SESSION] * 3]
    for cookie in given:
        name, value, rest = attributes(cookie)
        assert name.startswith("__Host-")
        assert {"secure", "httponly", "samesite=lax", "path=/"} <= rest
        assert not [each for each in rest if each.startswith("domain")]
        lasts = {each.partition("=")[0] for each in rest} & {"max-age", "expires"}
        # The session's goes when the browser is closed, or is taken away.
        assert bool(lasts) == (name != SESSION or value in ("", '""'))
    assert len(set(secrets)) == 3
    assert all(SESSION_SECRET.parse(secret) is not None for secret in secrets)
    rows = repr(stored(accounts))
    assert not [secret for secret in secrets if secret in rows or secret[4:47] in rows]


def test_a_session_is_no_token_and_a_token_no_session(scene: Scene, server: Serving) -> None:
    browser = signed_in(server.port, scene.owner)
    secret = browser.session
    for kind in ("Token", "Bearer"):
        for path in ("/api/auth/verify/", "/api/v1/organizations/", "/api/auth/tokens/"):
            headers = [("Authorization", f"{kind} {secret}"), ("Cookie", f"{SESSION}={secret}")]
            assert exchange(server.port, "GET", path, headers).status == 401
    # Nor does its cookie stand for a token anywhere in the API.
    for method, path in (
        ("GET", "/api/auth/tokens/"), ("POST", "/api/auth/logout/"), ("POST", "/api/auth/logoutall/"),
        ("GET", "/api/auth/events/"), ("GET", "/api/auth/verify/"),
    ):  # fmt: skip
        assert browser.ask(method, path, OWN).status == 401
    asked = {"token": secret}
    about = post_json(server.port, "/api/auth/introspect/", asked, with_token(scene.owners))
    assert about.status != 200 or about.json == {"active": False}
    for value in (scene.owners, f"Token {scene.owners}", secret.replace("nls_", "nlt_")):
        other = Browser(server.port, {SESSION: value})
        assert is_led_to_the_sign_in(other.get("/console/tokens/"))
    presented = Browser(server.port).ask("GET", "/console/tokens/", with_token(scene.owners))
    assert is_led_to_the_sign_in(presented)
    assert browser.is_in
    assert exchange(server.port, "GET", "/api/v1/organizations/", with_token(scene.owners)).status == 200


@pytest.mark.parametrize(
    "header",
    [
        "\xa0{name}={secret}", "\x85{name}={secret}", "{name}\xa0={secret}", " \xa0 {name}={secret}",
        "\xc2\xa0{name}={secret}", "{lower}={secret}", "x{name}={secret}", '{name}="{secret}"',
        "{name}={secret}\xa0", "={name}={secret}", "{name}={secret}; {name}={secret}",
        "{name}=nls_x; {name}={secret}", "{name}={secret}; {name}=", "{name}",
        'x="; {name}={secret}', '{name}={secret}, a=b',
    ],
)  # fmt: skip
def test_only_the_cookie_that_the_browser_guards_is_read(header: str, scene: Scene, server: Serving) -> None:
    """A neighbouring host could plant one that is only read as this one: its prefix guards the exact name."""
    secret = signed_in(server.port, scene.owner).session
    plain = Browser(server.port).ask("GET", "/console/tokens/", [("Cookie", f"a=b;  {SESSION}={secret} ;c")])
    assert plain.status == 200
    text = header.format(name=SESSION, lower=SESSION.lower(), secret=secret)
    if text == f'x="; {SESSION}={secret}':  # two cookies, as browsers and RFC 6265 see it
        return
    assert is_led_to_the_sign_in(Browser(server.port).ask("GET", "/console/tokens/", [("Cookie", text)]))


# The secret


def test_a_session_begins_with_a_secret_that_nobody_had_and_ends_the_one_before(
    scene: Scene, server: Serving, accounts: Accounts
) -> None:
    planted = SESSION_SECRET.generate().reveal()
    browser = Browser(server.port, {SESSION: planted})
    browser.sign_in(scene.owner)
    first = Browser(server.port, dict(browser.jar))
    assert first.session != planted
    assert not Browser(server.port, {SESSION: planted}).is_in
    elsewhere = signed_in(server.port, scene.owner)
    # Signing in as somebody else ends the former session, and no other.
    browser.sign_in(scene.member)
    assert browser.is_in
    assert not first.is_in
    assert elsewhere.is_in
    # A guess leaves it as it is.
    wrong = browser.post("/console/sign-in/", {**scene.owner.login_body, "password": "x"})
    assert (wrong.status, wrong.cookies) == (400, [])
    assert browser.is_in


SENSITIVE: dict[str, dict[str, str | list[str]]] = {
    "tokens/end/?id={owners}&id={members}": {"id": []},
    "tokens/new/": {"name": "x"},
    "members/": {"email": "new@example.com", "role": "member"},
    "members/{member}/role/": {"role": "owner"},
    "members/{member}/remove/": {},
    "members/{member}/password/": {},
    "members/invitations/{invitation}/withdraw/": {},
    "organization/": {"name": "Another"},
}


def invite(browser: Browser, email: str = "ann@example.com") -> str:
    """The secret of an invitation."""
    page = browser.post("/console/members/", {"email": email, "role": "member"})
    found = re.search(r"nli_[0-9A-Za-z]{49}", page.text)
    assert found is not None, page.words
    return found[0]


def filled(path: str, scene: Scene) -> str:
    rows = scene.accounts.sql(
        "SELECT id FROM invitation WHERE organization_id = :id", id=scene.organization_id
    )
    invitation = rows[0][0] if rows else "000000000000"
    return "/console/" + path.format(
        member=scene.user_id(scene.member),
        invitation=invitation,
        owners=token_id(scene.owners),
        members=token_id(scene.members),
    )


@pytest.mark.parametrize("path", SENSITIVE)
def test_after_a_while_the_password_is_asked_for_again_and_the_secret_changes_with_it(
    path: str, scene: Scene, server: Serving, accounts: Accounts
) -> None:
    browser = signed_in(server.port, scene.owner)
    invite(browser)
    shift(accounts, "confirmed", ASKS_AGAIN_AFTER_SECONDS + 60, digest_of(browser))
    stale = Browser(server.port, dict(browser.jar))
    page, fields, before = filled(path, scene), SENSITIVE[path], stored(accounts)
    if "id" in fields:
        fields = {"id": [token_id(scene.owners), token_id(scene.members)]}
    assert 'name="current_password"' in browser.get(page).text
    for password in ({}, {"current_password": ""}, {"current_password": "not it"}):
        refused = browser.post(page, {**fields, **password})
        assert refused.status == 400, refused.words
        assert refused.cookies == []
        assert 'name="current_password"' in refused.text
    assert stored(accounts) == before
    done = browser.post(page, {**fields, "current_password": PASSWORD})
    assert done.status in (200, 303), done.words
    assert stored(accounts) != before
    assert browser.session != stale.session
    assert browser.is_in
    assert not stale.is_in
    assert 'name="current_password"' not in browser.get("/console/tokens/new/").text


def test_a_new_secret_reaches_the_browser_also_where_the_action_fails(
    scene: Scene, server: Serving, accounts: Accounts
) -> None:
    browser = signed_in(server.port, scene.owner)
    shift(accounts, "confirmed", ASKS_AGAIN_AFTER_SECONDS + 60, digest_of(browser))
    fields = {"time_to_live": "0", "current_password": PASSWORD}
    assert browser.post("/console/tokens/new/", fields).status == 400
    assert browser.is_in
    shift(accounts, "confirmed", ASKS_AGAIN_AFTER_SECONDS + 60, digest_of(browser))
    fields = {"email": "new@example.com", "role": "member", "current_password": PASSWORD}
    accounts.sql("ALTER TABLE invitation RENAME TO gone")
    try:
        failed = browser.post("/console/members/", fields)
        assert (failed.status, failed.header("retry-after")) == (503, "1")
    finally:
        accounts.sql("ALTER TABLE gone RENAME TO invitation")
    assert browser.is_in


# The end of it


@dataclass
class Ending:
    """What is about to end the browser's session, and how it is done."""

    accounts: Accounts
    scene: Scene
    browser: Browser
    person: Person

    def sql(self, statement: str) -> None:
        """Raw SQL, as an operator's shell runs it: on SQLite that leaves foreign_keys off."""
        values = {
            "user": self.scene.user_id(self.person),
            "organization": self.scene.organization_id,
            "digest": digest_of(self.browser),
        }
        file = self.accounts.engines.sqlite_file
        if file is None:
            self.accounts.sql(statement, **{k: v for k, v in values.items() if f":{k}" in statement})
            return
        shell = sqlite3.connect(file, timeout=10, isolation_level=None)
        assert shell.execute("PRAGMA foreign_keys").fetchone() == (0,)
        shell.execute(statement, values)
        shell.close()

    def elsewhere(self) -> Browser:
        """Another session of the same person."""
        return signed_in(self.browser.port, self.person)

    def owner(self) -> Browser:
        """The organization's first owner."""
        return signed_in(self.browser.port, self.scene.owner)


def by_form(end: Ending, path: str, fields: dict[str, str]) -> None:
    page = end.owner().post(filled(path, end.scene), fields)
    assert page.status == 303, page.words


def own_password(end: Ending) -> None:
    fields = {"do": "password", "current_password": PASSWORD, "new_password": NEW}
    assert end.elsewhere().post("/console/account/", fields).status == 303


def by_link(end: Ending) -> None:
    issued = end.accounts.do(issue_password_link, end.person.username, 3600)
    end.accounts.do(use_password_link, issued.secret.reveal(), NEW, ORIGIN)


def disabled_and_enabled(end: Ending) -> None:
    end.accounts.do(disable_user, end.person.username)
    end.accounts.do(enable_user, end.person.username)


def pruned(end: Ending) -> None:
    shift(end.accounts, "expiry", 12 * 3600, digest_of(end.browser))
    end.accounts.do(prune_expired)


def end_one(end: Ending) -> None:
    wanted = digest_of(end.browser)
    rows = end.accounts.sql("SELECT id FROM session WHERE digest = :digest", digest=wanted)
    page = end.elsewhere().post("/console/account/", {"do": "end_session", "id": rows[0][0]})
    assert page.status == 303


ENDS: dict[str, Callable[[Ending], Any]] = {
    "signed out": lambda end: Browser(end.browser.port, dict(end.browser.jar)).post("/console/sign-out/", {}),
    "ended in another browser": end_one,
    "all others ended": lambda end: end.elsewhere().post("/console/account/", {"do": "end_others"}),
    "own password": own_password,
    "operator's password": lambda end: end.accounts.do(set_password, end.person.username, NEW),
    "password by a link": by_link,
    "disabled": lambda end: end.accounts.do(disable_user, end.person.username),
    "disabled and enabled": disabled_and_enabled,
    "removed by an owner": lambda end: by_form(end, "members/{member}/remove/", {}),
    "removed by the operator": lambda end: end.accounts.do(
        remove_member, end.scene.organization_id, end.person.username
    ),
    "closed": lambda end: end.accounts.do(close_organization, end.scene.organization_id),
    "idle": lambda end: shift(end.accounts, "used", 3600 + 1, digest_of(end.browser)),
    "expired": lambda end: shift(end.accounts, "expiry", 12 * 3600, digest_of(end.browser)),
    "pruned": pruned,
    "raw: session": lambda end: end.sql("DELETE FROM session WHERE digest = :digest"),
    "raw: membership": lambda end: end.sql(
        "DELETE FROM membership WHERE organization_id = :organization AND user_id = :user"
    ),
    "raw: disabled": lambda end: end.sql('UPDATE "user" SET disabled = created WHERE id = :user'),
    "raw: password": lambda end: end.sql(
        'UPDATE "user" SET password_version = password_version + 1 WHERE id = :user'
    ),
    "raw: user": lambda end: end.sql('DELETE FROM "user" WHERE id = :user'),
    "raw: closed": lambda end: end.sql("UPDATE organization SET closed = created WHERE id = :organization"),
    "raw: organization": lambda end: end.sql("DELETE FROM organization WHERE id = :organization"),
}


@pytest.mark.parametrize("cause", ENDS)
def test_whatever_ends_a_session_ends_it_at_once_on_every_worker_and_node(
    cause: str, scene: Scene, server: Serving, other_node: Serving, accounts: Accounts
) -> None:
    person = accounts.add_person_to(scene.organization_id)
    scene.member = person
    browser = signed_in(server.port, person)
    nodes = [server.port] * 4 + [other_node.port]
    for port in nodes:
        assert browser.on(port).is_in
    ENDS[cause](Ending(accounts, scene, browser, person))
    for port in nodes:
        page = browser.on(port).get("/console/tokens/?sort=name")
        assert page.status == 303
        assert (
            page.header("location") == "/console/sign-in/?ended=1&next=%2Fconsole%2Ftokens%2F%3Fsort%3Dname"
        )
        # Nothing of it stays in the browser.
        assert page.header("clear-site-data") == '"cache"'
        assert attributes(page.cookies[0])[:2] in ((SESSION, ""), (SESSION, '""'))
    before = stored(accounts)
    for path, fields in (
        ("tokens/new/", {"name": "x"}),
        ("account/", {"do": "end_others"}),
        ("sign-out/", {}),
    ):
        assert is_led_to_the_sign_in(browser.on(other_node.port).post(f"/console/{path}", fields))
    assert stored(accounts) == before


def test_a_session_lives_by_its_use_within_its_bounds(
    scene: Scene, server: Serving, accounts: Accounts
) -> None:
    browser = signed_in(server.port, scene.owner)
    digest = digest_of(browser)
    shift(accounts, "used", 3600 - 60, digest)
    before = accounts.sql("SELECT used FROM session WHERE digest = :digest", digest=digest)
    assert browser.get("/console/account/").status == 200
    deadline = time.monotonic() + 10
    while accounts.sql("SELECT used FROM session WHERE digest = :digest", digest=digest) == before:
        assert time.monotonic() < deadline  # noted behind the answer
        time.sleep(0.02)  # asked again until the server has noted it
    shift(accounts, "used", 120, digest)
    assert browser.get("/console/account/").status == 200
    # Use does not put off the end that was set when it began; nor does the password, shown again.
    expiry = accounts.sql("SELECT expiry FROM session WHERE digest = :digest", digest=digest)
    shift(accounts, "confirmed", ASKS_AGAIN_AFTER_SECONDS + 60, digest)
    assert browser.post("/console/tokens/new/", {"name": "x", "current_password": PASSWORD}).status == 200
    assert accounts.sql("SELECT expiry FROM session WHERE digest = :d", d=digest_of(browser)) == expiry
    shift(accounts, "expiry", 12 * 3600 - 60, digest_of(browser))
    assert browser.is_in
    shift(accounts, "expiry", 60, digest_of(browser))
    assert not browser.is_in


def test_a_role_is_what_it_is_at_each_request(scene: Scene, server: Serving, accounts: Accounts) -> None:
    browser = signed_in(server.port, scene.member)
    for role, status in ((Role.MEMBER, 403), (Role.OWNER, 200), (Role.MEMBER, 403)):
        accounts.do(change_role, scene.organization_id, scene.member.username, role)
        for _ in range(4):
            assert browser.get("/console/members/").status == status


def test_changing_the_password_ends_all_tokens_and_all_other_sessions(
    scene: Scene, server: Serving, other_node: Serving, accounts: Accounts
) -> None:
    browser, others = (
        signed_in(server.port, scene.owner),
        [signed_in(server.port, scene.owner) for _ in range(2)],
    )
    elsewhere = accounts.join(scene.owner, scene.stranger.organization_id)
    others.append(signed_in(server.port, elsewhere))
    token = accounts.log_in(elsewhere)
    known = Browser(server.port, dict(browser.jar))
    fields = {"do": "password", "new_password": NEW}
    refused = browser.post("/console/account/", {**fields, "current_password": "not it"})
    assert (refused.status, refused.cookies) == (400, [])
    assert browser.is_in
    done = browser.post("/console/account/", {**fields, "current_password": PASSWORD})
    assert done.status == 303
    assert browser.is_in
    for port in (server.port, other_node.port):
        assert browser.on(port).is_in
        for ended in (known, *others):
            assert not ended.on(port).is_in
        for each in (scene.owners, token):
            assert exchange(port, "GET", "/api/v1/organizations/", with_token(each)).status == 401
        assert exchange(port, "GET", "/api/v1/organizations/", with_token(scene.members)).status == 200
    wrong = Browser(server.port).post("/console/sign-in/", scene.owner.login_body)
    assert (wrong.status, wrong.cookies) == (400, [])


def test_a_restored_database_has_no_sessions_and_no_invitations(
    scene: Scene, server: Serving, accounts: Accounts
) -> None:
    browser = signed_in(server.port, scene.owner)
    link = f"/console/invitation/?link={invite(browser)}"
    assert browser.get(link).status == 200
    accounts.do(start_over)
    assert not browser.is_in
    assert Browser(server.port).get(link).status == 404
    assert accounts.sql("SELECT * FROM session") == accounts.sql("SELECT * FROM invitation") == []


@contextmanager
def held_token(accounts: Accounts, token: TokenId) -> Iterator[None]:
    """Somebody has the token's row locked in the block."""

    manager = accounts.engines.writing.begin()
    connection = accounts.run(manager.__aenter__())
    try:
        query = text("SELECT 1 FROM token WHERE id = :id FOR UPDATE")
        accounts.run(connection.execute(query, {"id": token}))
        yield
    finally:
        accounts.run(manager.__aexit__(None, None, None))


def wait_until_waiting(accounts: Accounts, number: int) -> None:
    """Return when so many transactions of the database wait for a lock."""
    waiting = "datname = current_database() AND wait_event_type = 'Lock'"
    deadline = time.monotonic() + 20
    while accounts.sql(f"SELECT count(*) FROM pg_stat_activity WHERE {waiting}")[0][0] < number:
        assert time.monotonic() < deadline
        time.sleep(0.01)  # asked again until another transaction has come so far


def test_removing_a_member_and_changing_their_password_do_not_wait_in_a_circle(
    scene: Scene, database: Database, accounts: Accounts, others: Accounts
) -> None:
    """Each takes sessions first and then tokens; else PostgreSQL ends one of the two after a second."""
    if database.kind == "sqlite":
        return  # one writer at a time
    scene.signed_in(scene.member)
    third = Accounts(database.url)
    acts: list[Callable[[], Any]] = [
        lambda: others.do(remove_member, scene.organization_id, scene.member.username),
        lambda: third.do(set_password, scene.member.username, NEW),
    ]
    try:
        with ThreadPoolExecutor(2) as threads, held_token(accounts, token_id(scene.members)):
            done = []
            for number, act in enumerate(acts, 1):
                done.append(threads.submit(act))
                wait_until_waiting(accounts, number)
        for each in done:
            each.result()
    finally:
        third.close()


# What it may do


OWNERS: dict[str, dict[str, str] | None] = {
    "members/": {"email": "new@example.com", "role": "owner"},
    "members/{member}/role/": {"role": "owner"},
    "members/{member}/remove/": {},
    "members/{member}/password/": {},
    "members/invitations/{invitation}/withdraw/": {},
    "organization/": {"name": "Another"},
    "activity/": None,
    "activity/export/": None,
}


@pytest.mark.parametrize("path", OWNERS)
def test_a_member_gets_nothing_of_what_is_for_owners(
    path: str, scene: Scene, server: Serving, accounts: Accounts
) -> None:
    invite(signed_in(server.port, scene.owner))
    browser = signed_in(server.port, scene.member)
    page, before = filled(path, scene), stored(accounts)
    shown = [browser.get(page), browser.get(f"{page}?format=jsonl")]
    fields = OWNERS[path]
    if fields is not None:
        shown.append(browser.post(page, {**fields, "current_password": PASSWORD}))
    for answer in shown:
        assert answer.status == 403
        assert "For owners" in answer.words or "owner" in answer.words
        for foreign in ("ann@example.com", scene.owner.username, token_id(scene.owners)):
            assert foreign not in answer.text
    assert stored(accounts) == before


def test_a_member_sees_and_ends_their_own_tokens_only(
    scene: Scene, server: Serving, accounts: Accounts
) -> None:
    browser = signed_in(server.port, scene.member)
    for path in (
        "tokens/", f"tokens/?user={scene.owner.username}", f"tokens/?q={token_id(scene.owners)}",
        f"tokens/end/?user={scene.owner.username}", f"tokens/end/?id={token_id(scene.owners)}", "account/",
    ):  # fmt: skip
        page = browser.get(f"/console/{path}")
        shown = page.text.replace(f'value="{scene.owner.username}"', "")
        shown = shown.replace(f'value="{token_id(scene.owners)}"', "")
        assert token_id(scene.owners) not in re.sub(r'href="[^"]*"', "", shown), path
    receipt = browser.post("/console/tokens/end/", {"id": [token_id(scene.owners), token_id(scene.members)]})
    assert receipt.status == 200
    assert exchange(server.port, "GET", "/api/v1/organizations/", with_token(scene.owners)).status == 200
    assert exchange(server.port, "GET", "/api/v1/organizations/", with_token(scene.members)).status == 401


@pytest.mark.parametrize("path", [path for path in OWNERS if "{" in path])
def test_another_organizations_people_are_as_if_they_never_were(
    path: str, scene: Scene, server: Serving, accounts: Accounts
) -> None:
    invite(signed_in(server.port, scene.owner))
    stranger = signed_in(server.port, scene.stranger)
    page, before = filled(path, scene), stored(accounts)
    never = re.sub(r"[0-9A-Za-z]+(?=/[a-z]+/$)", lambda found: "9" * len(found[0]), page)
    for answers in (
        (stranger.get(page), stranger.get(never)),
        (stranger.post(page, OWNERS[path] or {}), stranger.post(never, OWNERS[path] or {})),
    ):
        assert [answer.status for answer in answers] == [404, 404]
        assert answers[0].text == answers[1].text
    assert stored(accounts) == before


def test_another_organizations_tokens_sessions_and_events_are_as_if_they_never_were(
    scene: Scene, server: Serving, accounts: Accounts
) -> None:
    stranger, owner = signed_in(server.port, scene.stranger), signed_in(server.port, scene.owner)
    row = accounts.sql("SELECT id FROM session WHERE digest = :digest", digest=digest_of(owner))
    before = stored(accounts)
    for ours, never in (
        (f"tokens/end/?id={token_id(scene.owners)}", f"tokens/end/?id={'0' * 12}"),
        (f"tokens/end/?user={scene.member.username}", "tokens/end/?user=nobody@example.com"),
        (f"tokens/?user={scene.member.username}", "tokens/?user=nobody@example.com"),
        (f"activity/?user={scene.member.username}", "activity/?user=nobody@example.com"),
        (f"activity/export/?user={scene.member.username}", "activity/export/?user=nobody@example.com"),
    ):
        pages = [stranger.get(f"/console/{each}") for each in (ours, never)]
        texts = [
            page.text.replace("%40", "@")
            .replace(scene.member.username, "nobody@example.com")
            .replace(token_id(scene.owners), "0" * 12)
            for page in pages
        ]
        assert [page.status for page in pages] == [200, 200]
        assert texts[0] == texts[1]
    for fields in ({"do": "end_session", "id": row[0][0]}, {"do": "end_session", "id": "0" * 12}):
        assert stranger.post("/console/account/", fields).status == 303
    assert stored(accounts) == before
    receipts = [
        stranger.post("/console/tokens/end/", {"id": each}) for each in (token_id(scene.owners), "0" * 12)
    ]
    assert [receipt.status for receipt in receipts] == [200, 200]
    assert receipts[0].words == receipts[1].words
    assert stored(accounts) == before
    assert owner.is_in
    # The list of tokens, the members and the log hold nothing of it either.
    for path in ("tokens/", "members/", "activity/", "activity/export/?format=jsonl", "organization/"):
        text = stranger.get(f"/console/{path}").text
        for foreign in (
            scene.owner.username, scene.member.username, scene.organization_id, token_id(scene.members),
        ):  # fmt: skip
            assert foreign not in text, path


# Guessing


def test_guesses_at_a_password_are_counted_together_wherever_it_is_asked_for(
    request: pytest.FixtureRequest, tmp_path: Any, database: Database
) -> None:
    fresh = new_database(database.kind, request, tmp_path)
    accounts = Accounts(fresh.url)
    serving = Serving(fresh.url, tmp_path / "log", failed_logins_per_account="4 per 1h").wait_ready()
    try:
        person = accounts.add_person()
        browser = signed_in(serving.port, person)
        shift(accounts, "confirmed", ASKS_AGAIN_AFTER_SECONDS + 60, digest_of(browser))
        wrong = {**person.login_body, "password": "not it"}
        password = {"do": "password", "current_password": "not it", "new_password": NEW}
        assert Browser(serving.port).post("/console/sign-in/", wrong).status == 400
        assert post_json(serving.port, "/api/auth/login/", wrong).status == 400
        assert browser.post("/console/tokens/new/", {"name": "x", "current_password": "not it"}).status == 400
        assert browser.post("/console/account/", password).status == 400
        # Now the right one is refused everywhere, and says when.
        refused = Browser(serving.port).post("/console/sign-in/", person.login_body)
        assert (refused.status, refused.cookies) == (429, [])
        assert int(refused.header("retry-after")) > 0
        assert post_json(serving.port, "/api/auth/login/", person.login_body).status == 429
        again = browser.post("/console/tokens/new/", {"name": "x", "current_password": PASSWORD})
        assert (again.status, again.cookies) == (400, [])
        changed = browser.post("/console/account/", {**password, "current_password": PASSWORD})
        assert (changed.status, changed.cookies) == (429, [])
        assert accounts.live_tokens(person.organization_id) == 0
        assert browser.is_in
    finally:
        assert serving.stop() == 0
        accounts.close()


def test_no_answer_tells_who_has_an_account(scene: Scene, server: Serving, accounts: Accounts) -> None:
    disabled = accounts.add_person_to(scene.organization_id)
    accounts.do(disable_user, disabled.username)
    closed = accounts.add_person()
    accounts.do(close_organization, OrganizationId(closed.organization_id))
    organization = scene.owner.organization_id
    tried = [
        Person(organization, scene.owner.username, "not it"),
        Person(organization, "nobody@example.com"),
        Person("zzzzzz", scene.owner.username),
        Person(organization, scene.stranger.username),
        disabled,
        closed,
        Person(organization, "\x00"),
    ]
    pages = []
    for person in tried:
        page = Browser(server.port).post("/console/sign-in/", person.login_body)
        text = page.text.replace(f'value="{person.username}"', "").replace("\ufffd", "")
        pages.append((page.status, page.cookies, text.replace(f'value="{person.organization_id}"', "")))
    assert pages[0][0] == 400
    expected = pages[0]
    for person, found in zip(tried, pages, strict=True):
        if "\x00" not in person.username:
            assert found == expected
        assert found[:2] == expected[:2]
    # Nor does an owner who invites learn it, before or after.
    owner = signed_in(server.port, scene.owner)
    shown = []
    for email in (scene.stranger.username, "f" * 12 + "@example.com"):
        page = owner.post("/console/members/", {"email": email, "role": "member"})
        link = re.search(r"nli_[0-9A-Za-z]{49}", page.text)
        assert link is not None
        invited = Browser(server.port).get(f"/console/invitation/?link={link[0]}")
        guess = Browser(server.port).post("/console/invitation/", {"link": link[0], "password": "short"})
        listed = owner.get("/console/members/")
        export = owner.get("/console/activity/export/?format=jsonl&kind=member_invited").text
        texts = [page.text, invited.text, guess.text]
        shown.append([each.replace(email, "").replace(link[0], "") for each in texts])
        assert [page.status, invited.status, guess.status, listed.status] == [200, 200, 400, 200]
        assert "user_id" not in export
    assert shown[0] == shown[1]
