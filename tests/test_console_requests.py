"""What reaches the console and what it answers: other sites, headers, hostile names and bytes."""

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nightlatch.console.cookies import LANGUAGE, ORGANIZATIONS, SESSION
from nightlatch.console.render import POLICY
from tests.accounts import PASSWORD, Accounts
from tests.conftest import Database
from tests.console_browser import FORM, HOST, OWN, Browser, Page, parse, signed_in
from tests.console_people import Scene, new_scene, stored, token_id
from tests.serving import Serving
from tests.sockets import exchange, send

SHOWN = (
    "", "sign-in/", "arrived/", "invitation/", "tokens/", "tokens/end/", "tokens/end/?idle_days=1",
    "tokens/new/",
    "members/", "members/{member}/role/", "members/{member}/remove/", "members/{member}/password/",
    "members/invitations/{invitation}/withdraw/", "account/", "activity/", "organization/", "nothing/",
)  # fmt: skip
SENT: dict[str, dict[str, str]] = {
    "sign-in/": {"username": "{email}", "password": PASSWORD, "organization_id": "{organization}"},
    "sign-out/": {},
    "invitation/": {"link": "{link}", "password": "quite another password"},
    "tokens/end/": {"id": "{token}"},
    "tokens/new/": {"name": "x"},
    "members/": {"email": "new@example.com", "role": "member"},
    "members/{member}/role/": {"role": "owner"},
    "members/{member}/remove/": {},
    "members/{member}/password/": {},
    "members/invitations/{invitation}/withdraw/": {},
    "account/": {"do": "end_others"},
    "organization/": {"name": "Another"},
}


@dataclass
class Place:
    """An organization with an invitation that waits, its owner in a browser, and what its paths name."""

    scene: Scene
    browser: Browser
    names: dict[str, str]

    def path(self, path: str) -> str:
        return "/console/" + path.format(**self.names)

    def fields(self, path: str) -> dict[str, str]:
        return {name: value.format(**self.names) for name, value in SENT[path].items()}


def new_place(accounts: Accounts, server: Serving) -> Place:
    scene = new_scene(accounts)
    browser = signed_in(server.port, scene.owner)
    signed_in(server.port, scene.owner)
    page = browser.post("/console/members/", {"email": "ann@example.com", "role": "member"})
    link = re.search(r"nli_[0-9A-Za-z]{49}", page.text)
    assert link is not None
    query = "SELECT id FROM invitation WHERE organization_id = :id"
    names = {
        "member": str(scene.user_id(scene.member)),
        "invitation": accounts.sql(query, id=scene.organization_id)[0][0],
        "link": link[0],
        "email": scene.owner.username,
        "organization": scene.organization_id,
        "token": token_id(scene.members),
    }
    return Place(scene, browser, names)


@pytest.fixture(scope="module")
def place(accounts: Accounts, server: Serving) -> Place:
    """Shared by tests that change nothing in it."""
    return new_place(accounts, server)


# Other sites

SITE, ORIGIN = "Sec-Fetch-Site", "Origin"
REFUSED: dict[str, list[tuple[str, str]]] = {
    "nothing said": [],
    "null": [(ORIGIN, "null")],
    "another origin": [(ORIGIN, "https://evil.example")],
    "another port": [(ORIGIN, f"http://{HOST}:8080")],
    "a longer name": [(ORIGIN, f"http://{HOST}.evil.example")],
    "a name before it": [(ORIGIN, f"http://evil-{HOST}")],
    "the name as user": [(ORIGIN, f"http://{HOST}@evil.example")],
    "no scheme": [(ORIGIN, HOST)],
    "empty": [(ORIGIN, "")],
    "two": [(ORIGIN, f"https://evil.example http://{HOST}")],
    "cross-site": [(SITE, "cross-site")],
    "same-site": [(SITE, "same-site")],
    "unknown": [(SITE, "sideways")],
    "other case": [(SITE, "Same-Origin")],
    "empty site": [(SITE, "")],
    "cross-site with our origin": [(SITE, "cross-site"), (ORIGIN, f"http://{HOST}")],
    "same-site with our origin": [(SITE, "same-site"), (ORIGIN, f"http://{HOST}")],
    "cross-site, null": [(SITE, "cross-site"), (ORIGIN, "null")],
    "only a referer": [("Referer", f"http://{HOST}/console/tokens/")],
    "a script's header": [("X-Requested-With", "XMLHttpRequest"), (ORIGIN, "https://evil.example")],
}
ACCEPTED: dict[str, list[tuple[str, str]]] = {
    "same-origin": [(SITE, "same-origin")],
    "by hand": [(SITE, "none")],
    "our origin": [(ORIGIN, f"http://{HOST}")],
    "our origin by https": [(ORIGIN, f"https://{HOST}")],
    "both": OWN,
    "same-origin, null": [(SITE, "same-origin"), (ORIGIN, "null")],
}


@pytest.mark.parametrize("sender", REFUSED)
def test_a_form_that_another_site_sent_or_may_have_sent_does_nothing(
    sender: str, place: Place, accounts: Accounts
) -> None:
    before = stored(accounts)
    for path in SENT:
        browser = Browser(place.browser.port, dict(place.browser.jar))
        page = browser.post(place.path(path), place.fields(path), REFUSED[sender])
        assert (page.status, page.cookies) == (403, []), path
        assert "came from another site" in page.words or "over HTTPS only" in page.words
    for method in ("PUT", "PATCH", "DELETE", "OPTIONS"):
        assert place.browser.ask(method, "/console/tokens/new/", REFUSED[sender]).status == 403
    assert stored(accounts) == before


@pytest.mark.parametrize("sender", ACCEPTED)
def test_our_own_forms_are_accepted(sender: str, server: Serving, accounts: Accounts) -> None:
    person = accounts.add_person()
    browser = Browser(server.port)
    assert browser.post("/console/sign-in/", person.login_body, ACCEPTED[sender]).status == 303
    assert browser.post("/console/tokens/new/", {"name": "x"}, ACCEPTED[sender]).status == 200
    assert accounts.live_tokens(person.organization_id) == 1


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "application/json", "multipart/form-data; boundary=x", "application/xml", "x" * 300],
)
def test_only_what_a_form_sends_is_read(content_type: str, place: Place, accounts: Accounts) -> None:
    before = stored(accounts)
    for body in (
        b"name=x",
        b'{"name": "x"}',
        b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\nx\r\n--x--',
    ):
        headers = [("Content-Type", content_type)] if content_type else []
        page = place.browser.ask("POST", "/console/tokens/new/", [*headers, *OWN], body)
        assert page.status == 415
        assert page.header("content-type") == "text/html; charset=utf-8"
    assert stored(accounts) == before


def test_no_get_changes_anything(place: Place, accounts: Accounts) -> None:
    """The cookie comes along when another site's link is followed."""
    before = stored(accounts)
    for path in {*SHOWN, *SENT}:
        for query in (
            "name=x&id={token}&do=end_others&role=owner&email=new@example.com&link={link}",
            "idle_days=1",
        ):
            target = place.path(path + ("&" if "?" in path else "?") + query)
            for method in ("GET", "HEAD"):
                page = place.browser.on(place.browser.port).ask(method, target, REFUSED["cross-site"])
                assert page.status in (200, 303, 404, 405), target
    after = stored(accounts)
    # That the session was used is noted, once a minute.
    assert [rows for number, rows in enumerate(after) if number != 4] == [
        rows for number, rows in enumerate(before) if number != 4
    ]
    assert len(after[4]) == len(before[4])


# What every answer has


def check_headers(page: Page, is_https: bool = False) -> None:
    """As every HTML answer of the console has them."""
    assert page.header("content-type") == "text/html; charset=utf-8"
    assert page.header("content-security-policy") == POLICY
    for directive in (
        "default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'self'",
    ):  # fmt: skip
        assert directive in POLICY.split("; ")
    assert "unsafe" not in POLICY
    assert page.header("referrer-policy") == "no-referrer"
    assert page.header("cross-origin-opener-policy") == "same-origin"
    assert page.header("cross-origin-resource-policy") == "same-origin"
    assert page.header("cache-control") == "no-store"
    assert page.header("x-content-type-options") == "nosniff"
    assert len(page.header("x-request-id")) == 16
    assert (page.header("strict-transport-security") == "max-age=31536000") == is_https
    assert not [name for name, _ in page.headers if name.startswith("access-control-")]
    names = [name for name, _ in page.headers if name != "set-cookie"]
    assert len(names) == len(set(names))


def answers(place: Place) -> Iterator[tuple[str, Page]]:
    """Every kind of HTML answer, without a change."""
    nobody = Browser(place.browser.port)
    for browser in (place.browser, nobody, signed_in(place.browser.port, place.scene.member)):
        for path in SHOWN:
            yield path, browser.get(place.path(path))
            yield path, browser.ask("HEAD", place.path(path))
        for path in SENT:
            yield path, browser.post(place.path(path), {}, REFUSED["cross-site"])
            yield path, browser.ask("POST", place.path(path), [("Content-Type", "text/plain"), *OWN], b"x")
            yield path, browser.ask("POST", place.path(path), [FORM, *OWN], b"x" * 70_000)
            yield path, browser.ask("PUT", place.path(path), OWN)
    for path in ("members/", "tokens/new/"):
        yield path, place.browser.post(place.path(path), {"email": "no address", "name": "x" * 200})
    yield (
        "sign-in/",
        nobody.post("/console/sign-in/", {"username": "a", "password": "b", "organization_id": "c"}),
    )
    yield "sign-in/", nobody.post("/console/sign-in/", {})
    yield "invitation/", nobody.post("/console/invitation/", {"link": "x", "password": "y"})
    yield "invitation/", nobody.get(place.path("invitation/?link={link}"))
    yield "assets/", nobody.ask("POST", "/console/assets/console.css/", OWN)


def test_every_page_has_the_headers_that_keep_it_from_scripts_frames_caches_and_referrers(
    place: Place,
) -> None:
    kinds = set()
    for path, page in answers(place):
        kinds.add(page.status)
        if page.status == 303:
            assert page.header("content-security-policy") == POLICY
            assert page.header("cache-control") == "no-store"
            assert page.header("referrer-policy") == "no-referrer"
            assert page.header("location").startswith("/console/"), path
        else:
            check_headers(page)
    assert kinds == {200, 303, 400, 403, 404, 405, 413, 415}


def test_whoever_signs_out_leaves_nothing_in_the_browser(server: Serving, accounts: Accounts) -> None:
    browser = signed_in(server.port, accounts.add_person())
    for path in SHOWN:
        assert "no-store" in browser.get(f"/console/{path}").header("cache-control")
    assert browser.get("/console/activity/export/").header("cache-control") == "no-store"
    page = browser.post("/console/sign-out/", {})
    assert page.header("clear-site-data") == '"cache"'
    assert page.header("location") == "/console/sign-in/?signed_out=1"
    assert SESSION not in browser.jar


def test_behind_https_browsers_are_told_to_stay_there(
    database: Database, accounts: Accounts, tmp_path: Path
) -> None:
    serving = Serving(
        database.url,
        tmp_path / "log",
        public_url="https://auth.example.com",
        cors_origins="https://app.example.com",
    ).wait_ready()
    try:
        person = accounts.add_person()
        nobody = Browser(serving.port)
        check_headers(nobody.get("/console/sign-in/"), is_https=True)
        own = [("Origin", "https://auth.example.com")]
        for origin in (
            "http://auth.example.com",
            "https://app.example.com",
            "https://auth.example.com.evil.example",
        ):
            refused = nobody.post("/console/sign-in/", person.login_body, [("Origin", origin)])
            assert refused.status == 403
            check_headers(refused, is_https=True)
        # What the API's pages may ask from another origin, the console's may not.
        preflight = [("Origin", "https://app.example.com"), ("Access-Control-Request-Method", "POST")]
        assert exchange(serving.port, "OPTIONS", "/api/auth/login/", preflight).status == 200
        refused = nobody.ask("OPTIONS", "/console/sign-in/", preflight)
        assert refused.status == 403
        check_headers(refused, is_https=True)
        for path in ("/console", "/console/", "/console/tokens/", "/console/assets/x/"):
            answer = nobody.ask("GET", path, [("Origin", "https://app.example.com")])
            assert not [name for name, _ in answer.headers if name.startswith("access-control-")]
        answer = nobody.post("/console/sign-in/", person.login_body, own)
        assert answer.status == 303
        # Links that are shown lead there, whatever the request says of its host.
        headers = [FORM, *own, ("Host", "evil.example")]
        page = nobody.ask("POST", "/console/members/", headers, b"email=a%40example.com&role=member")
        assert "https://auth.example.com/console/invitation/?link=nli_" in page.text
        assert "evil.example" not in page.text
    finally:
        assert serving.stop() == 0


@pytest.mark.parametrize(
    "following",
    [
        "https://evil.example/", "//evil.example/", "/\\evil.example", "/console//evil.example/",
        "/console/\\x",
        "/console/../api/", "/console/%2e%2e/api/", "/console/.%2E/api/", "/console/tokens/../../x/",
        "javascript:alert(1)",
        "/console/tokens/\r\nSet-Cookie: a=b", "/console/tokens/\x00", "/console/\u2028",
        "/console/tokens/#x",
        "/console/tokens;/evil/", "/consolex/", "console/tokens/", " /console/tokens/",
        "/console/tokens/?" + "x" * 3000,
        "/console/sign-in/?next=/console/sign-in/", "/console/arrived/?next=x", "/console/@evil.example/",
        "\t//evil.example",
    ],
)  # fmt: skip
def test_nobody_is_led_elsewhere(following: str, accounts: Accounts, server: Serving) -> None:
    login = {**accounts.add_person().login_body, "next": following}
    browser = Browser(server.port)
    answer = browser.post("/console/sign-in/", login)
    assert answer.header("location") == "/console/arrived/?next=%2Fconsole%2Ftokens%2F"
    encoded = quote_from_bytes(following.encode())
    for path in (f"arrived/?next={encoded}", f"sign-in/?next={encoded}"):
        page = browser.get(f"/console/{path}")
        assert (page.status, page.header("location")) == (303, "/console/tokens/")
        assert page.header("set-cookie") == "" or page.header("set-cookie").startswith(ORGANIZATIONS)
    assert "evil" not in Browser(server.port).get(f"/console/sign-in/?next={encoded}").text.replace(
        f"next={encoded}", ""
    )
    good = "/console/activity/?kind=login&user=a%40example.com"
    browser = Browser(server.port)
    location = browser.post("/console/sign-in/", {**login, "next": good}).header("location")
    assert browser.get(location).header("location") == good


# Hostile names

HOSTILE = (
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "' onmouseover='alert(1)",
    "</title><script>x</script>",
    "{{ 7*7 }}{% raw %}", "javascript:alert(1)", "&lt;b&gt;", "\u202egnp.exe", "a\u2066b\u2069",
    "\x1b[31mred\x1b]0;t\x07",
    "\x9b31m", "a\r\nb: c", "\u2028x", "=cmd|' /C calc'!A0", "+1+1", "-2", "@SUM(A1)", "\uff1d1", "\t=1",
    "%(x)s %s {0}",
    "x" * 120, "\U0001f600" * 40, "e\u0301" * 20, "--><!--", "]]>", "`${alert(1)}`",
)  # fmt: skip


class _Elements(HTMLParser):
    """Elements and attributes of a page, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.scripts = self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.tags and self.tags[-1] in ("script", "style"):
            self.scripts += data.strip()


def rename(accounts: Accounts, scene: Scene, name: str) -> None:
    """Call everything that, as an import or raw SQL could."""
    ids = {"id": scene.organization_id, "name": name}
    for statement in (
        "UPDATE organization SET name = :name WHERE id = :id",
        "UPDATE token SET name = :name WHERE organization_id = :id",
        "UPDATE token SET user_agent = :name WHERE organization_id = :id",
        "UPDATE session SET user_agent = :name WHERE organization_id = :id",
        "UPDATE invitation SET invited_by = :name WHERE organization_id = :id",
    ):
        accounts.sql(statement, **ids)


def test_hostile_names_are_text_on_every_page(accounts: Accounts, server: Serving, place: Place) -> None:
    place = new_place(accounts, server)
    plain = {}
    paths = [*SHOWN[4:], f"tokens/end/?id={token_id(place.scene.owners)}", "tokens/?sort=name&q=a"]
    rename(accounts, place.scene, "plain")
    for path in paths:
        plain[path] = _Elements(place.browser.get(place.path(path)).text)
    for name in HOSTILE:
        rename(accounts, place.scene, name[:100])
        place.browser.jar.pop(ORGANIZATIONS, None)
        place.browser.get("/console/arrived/")  # remembered in a cookie under that name
        pages = {path: place.browser.get(place.path(path)) for path in paths}
        pages["sign-in"] = Browser(server.port, {ORGANIZATIONS: place.browser.jar[ORGANIZATIONS]}).get(
            "/console/sign-in/"
        )
        pages["invitation"] = Browser(server.port).get(place.path("invitation/?link={link}"))
        for path, page in pages.items():
            found = _Elements(page.text)
            assert not found.scripts
            assert not {"img", "b", "iframe", "style"} & set(found.tags)
            for attribute, value in found.attributes:
                assert not attribute.startswith("on")
                assert attribute not in ("style", "srcdoc")
                if attribute in ("href", "action", "src", "formaction"):
                    assert re.match(r"/(?!/)|#", value), value
            strange = [c for c in page.text if not c.isprintable() and c not in "\n\t"]
            assert strange == [], (path, name)
            if path in plain:
                assert found.tags == plain[path].tags, (path, name)
        if name.isprintable() and name.isascii() and len(name) <= 60:
            assert name in _Elements(pages["organization/"].text).text + "".join(
                value for _, value in _Elements(pages["organization/"].text).attributes
            )


def test_an_export_holds_no_formula_and_no_control_character(accounts: Accounts, server: Serving) -> None:
    scene = new_scene(accounts)
    browser = signed_in(server.port, scene.owner)
    for name in HOSTILE:
        agent = "".join(c for c in name if 32 <= ord(c) < 127)
        headers = [("User-Agent", agent), ("Content-Type", "application/json")]
        login = json.dumps({**scene.owner.login_body, "username": name[:100]}).encode()
        exchange(server.port, "POST", "/api/auth/login/", headers, login)
        browser.ask("POST", "/console/sign-in/", [FORM, *OWN, ("User-Agent", agent)], b"username=x")
        Browser(server.port).ask(
            "POST",
            "/console/sign-in/",
            [("User-Agent", agent), FORM, *OWN],
            (
                f"username={scene.member.username}&password={PASSWORD}&organization_id={scene.organization_id}".encode()
            ),
        )
        if not any(ord(c) < 32 for c in name):
            browser.post("/console/organization/", {"name": name[:100]})
    export = browser.get("/console/activity/export/?format=csv")
    assert export.header("content-type") == "text/csv; charset=utf-8"
    assert re.fullmatch(
        rf'attachment; filename="nightlatch-{scene.organization_id}-[0-9-]+\.csv"',
        export.header("content-disposition"),
    )
    rows = list(csv.reader(io.StringIO(unchunked(export).decode(), newline="")))
    assert len(rows) > 2 * len(HOSTILE)
    for cell in (cell for row in rows for cell in row):
        assert not cell.lstrip().startswith(("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20"))
        assert cell.isprintable()
    lines = unchunked(browser.get("/console/activity/export/?format=jsonl")).decode()
    assert lines.isascii()
    assert [json.loads(line)["id"] for line in lines.splitlines()][:10] == [int(row[0]) for row in rows[1:11]]


def unchunked(page: Page) -> bytes:
    """The body of an answer that came in chunks."""
    if page.header("transfer-encoding") != "chunked":
        return page.body
    body, rest = b"", page.body
    while size := int(rest.partition(b"\r\n")[0], 16):
        rest = rest.partition(b"\r\n")[2]
        body, rest = body + rest[:size], rest[size + 2 :]
    return body


# Any bytes

BYTES = (
    b"", b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"%00", b"%ff%fe", b"%ed%a0%80", b"%u0041", b"%", b"%2",
    b"a" * 3000, b"-1",
    b"9" * 30, b"1e9", b"0x10", b"\xd9\xa1", b"NaN", b"../../etc/passwd", b"<script>",
    b"'; DROP TABLE session; --", b"{{7*7}}",
    b"%(x)s", b"\\ud800", b"+AGE-", b"[", b"::1]", b"\xc2\xa0", b"@", b"a@b", b"nls_x", b"nli_x", b"0",
    b"000000000000",
    b"\xe2\x80\xae", b"\x1b[2J", b"9223372036854775808", b"2026-02-30", b"9999-12-31", b"0001-01-01",
    b"login", b"owner",
)  # fmt: skip
FIELDS = (
    b"id", b"user", b"idle_days", b"name", b"time_to_live", b"time_to_live_unit", b"never_expires",
    b"token_limit",
    b"limit_policy", b"email", b"role", b"do", b"link", b"password", b"new_password", b"current_password",
    b"username",
    b"organization_id", b"other_organization_id", b"next", b"q", b"sort", b"state", b"page", b"kind",
    b"since", b"until",
    b"format", b"language", b"done", b"ended", b"\xff", b"",
)  # fmt: skip
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get", "Post", "X")
TYPES = (
    "application/x-www-form-urlencoded", "application/x-www-form-urlencoded; charset=unicode_escape",
    "application/x-www-form-urlencoded; charset=utf-16", "application/x-www-form-urlencoded; charset=utf-7",
    "application/x-www-form-urlencoded; charset=hex", "application/x-www-form-urlencoded; charset=\xff",
    "text/plain", "",
)  # fmt: skip


def raw_request(method: str, target: bytes, headers: list[tuple[str, bytes]], body: bytes) -> bytes:
    """A request in which the bytes are the test's own."""
    head = method.encode() + b" " + target + b" HTTP/1.1\r\nConnection: close\r\n"
    if not any(name.lower() == "host" for name, _ in headers):
        head += b"Host: testserver\r\n"
    for name, value in headers:
        head += name.encode() + b": " + value + b"\r\n"
    if body:
        head += b"Content-Length: %d\r\n" % len(body)
    return head + b"\r\n" + body


def values() -> st.SearchStrategy[bytes]:
    return st.one_of(st.sampled_from(BYTES), st.binary(max_size=40))


def pairs(most: int) -> st.SearchStrategy[list[tuple[bytes, bytes]]]:
    return st.lists(st.tuples(st.sampled_from(FIELDS), values()), max_size=most)


def joined(found: list[tuple[bytes, bytes]]) -> bytes:
    return b"&".join(name + b"=" + value for name, value in found)


def clean(value: bytes) -> bytes:
    """Without what would end a line, or the target: those requests the server itself refuses."""
    return bytes(byte for byte in value if byte not in b"\r\n\x00 ")


def test_no_bytes_make_it_fail(accounts: Accounts, server: Serving) -> None:
    place = new_place(accounts, server)
    jars = [{}, {SESSION: place.browser.session}]
    tried: dict[int, int] = {}
    kept = [("GET", path) for path in (*SHOWN, "activity/export/", "assets/{token}/")]
    kept += [("POST", path) for path in SENT]

    @settings(max_examples=400, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(
        st.one_of(
            st.sampled_from(kept),
            st.sampled_from(kept),
            st.tuples(
                st.sampled_from(METHODS), st.one_of(st.sampled_from(kept).map(lambda pair: pair[1]), values())
            ),
        ),
        pairs(4),
        pairs(6),
        st.sampled_from(TYPES),
        st.one_of(st.none(), st.none(), st.sampled_from(BYTES)),
        st.one_of(st.none(), st.sampled_from(BYTES)),
        st.sampled_from((True, True, True, False)),
        st.sampled_from((True, True, False)),
    )
    def attempt(
        asked_for: tuple[str, str | bytes],
        query: list[tuple[bytes, bytes]],
        fields: list[tuple[bytes, bytes]],
        content_type: str,
        host: bytes | None,
        cookie: bytes | None,
        encoded: bool,
        is_in: bool,
    ) -> None:
        method, path = asked_for
        if isinstance(path, bytes):
            target = b"/console/" + (quote_from_bytes(path).encode() if encoded else clean(path))
        else:
            target = place.path(path).encode()
        asked = joined(query)
        asked = quote_from_bytes(asked, safe="=&%").encode() if encoded else clean(asked)
        target += (b"&" if b"?" in target else b"?") + asked
        headers = [(name, value.encode()) for name, value in OWN]
        headers.append(("Content-Type", content_type.encode("latin-1")))
        if host is not None:
            headers.append(("Host", clean(host)))
        jar = "; ".join(f"{name}={value}" for name, value in jars[is_in].items()).encode()
        if cookie is not None:
            crumbs = clean(cookie)
            jar += (
                b"; "
                + b"; ".join(name.encode() + b"=" + crumbs for name in (ORGANIZATIONS, LANGUAGE, "a"))
                + b"; "
                + crumbs
            )
        headers.append(("Cookie", jar))
        headers += [("Accept-Language", clean(cookie or b"de")), ("User-Agent", clean(host or b"x"))]
        # Nothing of it may end the session, and spoil what follows.
        body = joined([pair for pair in fields if pair[0] != b"do"])
        if target.startswith((b"/console/sign-out", b"/console/arrived")) and is_in:
            return
        page = parse(send(server.port, raw_request(method, target, headers, body)))
        tried[page.status] = tried.get(page.status, 0) + 1
        assert page.status < 500, (method, target, headers, body, page.words[:300])

    attempt()
    assert sum(tried.values()) > 250
    assert {200, 303, 400, 404} <= tried.keys(), tried
    assert place.browser.is_in


@pytest.mark.parametrize("value", [value for value in BYTES if not set(value) & set(b"\r\n \x00")])
def test_each_hostile_value_in_each_place_is_answered(value: bytes, place: Place, server: Serving) -> None:
    """What the random requests may miss: one value in every field of every form and every query."""
    cookie = ("Cookie", f"{SESSION}={place.browser.session}".encode())
    own = [(name, text.encode()) for name, text in OWN]
    everything = b"&".join(name + b"=" + value for name in FIELDS if name not in (b"do", b"role", b"email"))
    wanted: list[tuple[str, bytes, list[tuple[str, bytes]], bytes]] = []
    for path in ("tokens/", "tokens/end/", "activity/", "members/", "account/", "organization/"):
        wanted.append(("GET", place.path(path).encode() + b"?" + everything, [cookie], b""))
    wanted.append(("GET", b"/console/sign-in/?" + everything, [], b""))
    wanted.append(("GET", b"/console/invitation/?" + everything, [], b""))
    for path in ("sign-in/", "invitation/", "tokens/end/", "tokens/new/", "members/", "organization/"):
        for content_type in TYPES[:4]:
            headers = [*own, cookie, ("Content-Type", content_type.encode())]
            if path == "sign-in/":
                headers.remove(cookie)
            wanted.append(("POST", place.path(path).encode(), headers, everything))
            wanted.append(("POST", place.path(path).encode(), headers, everything + b"&email=" + value))
    body = b"do=end_session&id=" + value
    for content_type in TYPES[:4]:
        headers = [*own, cookie, ("Content-Type", content_type.encode())]
        wanted.append(("POST", b"/console/account/", headers, body))
    for name in (ORGANIZATIONS, LANGUAGE, SESSION):
        wanted.append(("GET", b"/console/sign-in/", [("Cookie", name.encode() + b"=" + value)], b""))
    wanted.append(("GET", b"/console/tokens/new/", [cookie, ("Host", value)], b""))
    for request in wanted:
        page = parse(send(server.port, raw_request(*request)))
        assert page.status < 500, (request, page.words[:300])
    assert place.browser.is_in


@pytest.mark.parametrize(
    "text",
    [
        "e30=", "W10=", "bnVsbA==", "MQ==", "WzFd", "W3t9XQ==", "!!!", "W1tbW1tb" * 400, "A" * 4000, "\xff",
        "",
        # Of an id that is none, a name that is no text, a lone surrogate, a number beyond all bounds.
        "W3siaWQiOiAiPHNjcmlwdD4iLCAibmFtZSI6ICJ4In1d", "W3siaWQiOiBbXSwgIm5hbWUiOiB7fX1d",
        "W3siaWQiOiAiYWJjZGVmIiwgIm5hbWUiOiAiXHVkODAwPGI-In1d",
        "W3siaWQiOiAiYWJjZGVmIiwgIm5hbWUiOiAxZTk5OTl9XQ==",
    ],
)  # fmt: skip
def test_a_cookie_of_organizations_may_hold_anything(text: str, server: Serving, place: Place) -> None:
    nobody = Browser(server.port, {ORGANIZATIONS: text})
    page = nobody.get("/console/sign-in/")
    assert page.status == 200
    assert "<b>" not in page.text
    assert 'name="organization_id"' in page.text
    assert nobody.sign_in(place.scene.stranger).status == 303


def test_a_form_of_too_many_fields_or_too_much_of_one_is_refused_whole(
    place: Place, accounts: Accounts
) -> None:
    before = stored(accounts)
    for body, status in ((b"a=b&" * 1001 + b"name=x", 400), (b"name=" + b"x" * 66_000, 413)):
        page = place.browser.post("/console/tokens/new/", body)
        assert page.status == status
        check_headers(page)
    assert stored(accounts) == before
