"""A page on another origin, open in the same browser in which its victim is signed in."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Page, expect

from tests.accounts import PASSWORD, Accounts, Person
from tests.console.browsing import Browsing, arrived, sign_in, verdicts, visit
from tests.console_people import stored, token_id
from tests.serving import Serving

pytestmark = pytest.mark.slow


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>Prizes</title><body></body>")

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(params=["127.0.0.1", "localhost"], ids=["another site", "another port of the same site"])
def hostile_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Of the same site the browser sends even the session's cookie along."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://{request.param}:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def victim(accounts: Accounts) -> Person:
    return accounts.add_person()


@pytest.fixture
def tab(browsing: Browsing, victim: Person, hostile_url: str) -> Page:
    """The hostile page, beside the console's; what it complains of is no matter."""
    page = browsing.window(watched=False)
    sign_in(page, victim)
    page.goto(hostile_url)
    return page


def forms(victim: Person, token: str, user_id: int) -> dict[str, dict[str, str]]:
    """What a form could send to do harm."""
    return {
        "tokens/end/": {"id": token_id(token)},
        "tokens/new/": {"name": "theirs"},
        "members/": {"email": "intruder@example.com", "role": "owner"},
        f"members/{user_id}/role/": {"role": "member"},
        f"members/{user_id}/remove/": {},
        f"members/{user_id}/password/": {},
        "account/": {"do": "end_others"},
        "organization/": {"name": "Taken over", "limit_policy": "replace_oldest"},
        "sign-out/": {},
    }


SEND = """([url, fields, type]) => {
  const form = document.createElement("form");
  form.method = "post"; form.action = url; form.enctype = type;
  for (const [name, value] of Object.entries(fields)) {
    const input = document.createElement("input");
    input.type = "hidden"; input.name = name; input.value = value; form.append(input);
  }
  document.body.append(form);
  form.submit();
}"""
FETCH = """async ([url, mode, fields]) => {
  const options = {mode, credentials: "include"};
  if (fields) Object.assign(options, {method: "POST", body: new URLSearchParams(fields)});
  try { const response = await fetch(url, options); return response.type + " " + await response.text(); }
  catch (error) { return "refused"; }
}"""


def test_no_form_of_it_does_anything(
    tab: Page, browsing: Browsing, hostile_url: str, victim: Person, accounts: Accounts, server: Serving
) -> None:
    token = accounts.log_in(victim)
    user_id = accounts.sql('SELECT id FROM "user" WHERE email = :email', email=victim.username)[0][0]
    before = stored(accounts)
    for path, fields in forms(victim, token, user_id).items():
        for kind in ("application/x-www-form-urlencoded", "multipart/form-data", "text/plain"):
            with tab.expect_navigation() as answered:
                tab.evaluate(SEND, [f"{browsing.url}/console/{path}", fields, kind])
            assert answered.value.status == 403
            arrived(tab, "Not accepted")
            tab.goto(hostile_url)
    assert stored(accounts) == before
    assert verdicts(server, token) == {200}
    visit(tab, f"{browsing.url}/console/tokens/")
    arrived(tab, "Tokens")


def test_no_form_of_it_signs_anybody_in(
    tab: Page, browsing: Browsing, hostile_url: str, victim: Person, accounts: Accounts
) -> None:
    attacker = accounts.add_person()
    with tab.expect_navigation() as answered:
        tab.evaluate(SEND, [f"{browsing.url}/console/sign-in/", attacker.login_body, "multipart/form-data"])
    assert answered.value.status == 403
    visit(tab, f"{browsing.url}/console/account/")
    expect(tab.locator(".top .who")).to_have_text(victim.username)


def test_no_script_of_it_sends_or_reads_anything(
    tab: Page, browsing: Browsing, victim: Person, accounts: Accounts, server: Serving
) -> None:
    token = accounts.log_in(victim)
    before = stored(accounts)
    for path, fields in forms(victim, token, 1).items():
        for mode in ("cors", "no-cors"):
            seen = tab.evaluate(FETCH, [f"{browsing.url}/console/{path}", mode, fields])
            assert seen in ("refused", "opaque ")
    for path in ("tokens/", "account/", "activity/export/?format=csv"):
        for mode in ("cors", "no-cors"):
            seen = tab.evaluate(FETCH, [f"{browsing.url}/console/{path}", mode, None])
            assert seen in ("refused", "opaque ")
    assert stored(accounts) == before
    assert verdicts(server, token) == {200}


def test_no_frame_of_it_shows_a_page(tab: Page, browsing: Browsing) -> None:
    tab.evaluate(
        """(url) => new Promise((done) => {
          const frame = document.createElement("iframe");
          frame.src = url; frame.onload = done; document.body.append(frame);
        })""",
        f"{browsing.url}/console/tokens/",
    )
    (frame,) = tab.frames[1:]
    assert not frame.url.startswith(browsing.url)
    assert "Nightlatch" not in frame.content()


def test_a_window_that_it_opens_it_cannot_reach(tab: Page, browsing: Browsing) -> None:
    with tab.expect_popup() as opened:
        tab.evaluate("(url) => { window.other = open(url); }", f"{browsing.url}/console/tokens/")
    arrived(opened.value, "Tokens")
    # Cross-Origin-Opener-Policy: for the page that opened it, it is closed.
    tab.wait_for_function("window.other.closed")
    assert opened.value.evaluate("window.opener") is None


def test_a_link_of_it_changes_nothing(
    tab: Page, browsing: Browsing, victim: Person, accounts: Accounts, server: Serving
) -> None:
    token = accounts.log_in(victim)
    before = stored(accounts)
    tab.evaluate("(url) => { location = url; }", f"{browsing.url}/console/tokens/end/?id={token_id(token)}")
    arrived(tab, "End 1 token?")
    assert stored(accounts) == before
    assert verdicts(server, token) == {200}


def test_the_password_given_to_the_console_opens_no_other_page(
    tab: Page, browsing: Browsing, victim: Person
) -> None:
    """Where the sign-in leads is a page of this server, whatever the link says."""
    page = browsing.window()
    for target in (
        hostile := "//127.0.0.1:1/",
        "/\\127.0.0.1:1/",
        "http://127.0.0.1:1/",
        f"/console/..{hostile}",
    ):
        page.goto(f"/console/sign-in/?next={target}")
        page.get_by_label("E-mail address").fill(victim.username)
        page.get_by_label("Password").fill(PASSWORD)
        if not page.get_by_role("radio").count():
            page.get_by_label("Organization id").fill(victim.organization_id)
        page.get_by_role("button", name="Sign in").click()
        arrived(page, "Tokens")
        assert page.url.startswith(browsing.url)
        page.get_by_role("button", name="Sign out").click()
