"""Chromium on the console of a server: windows, and what their pages complain of."""

from typing import Any, Final

from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright, Response, expect

from tests.accounts import Person
from tests.serving import Serving
from tests.sockets import exchange

CHROMIUM: Final = "/usr/bin/chromium"
ELSEWHERE: Final = "nightlatch.test"
"""Another name of this machine, which a browser does not trust without TLS as it trusts localhost."""
SECONDS_MAX: Final = 10.0
ASKED: Final = 6
"""Requests, each on a connection of its own, that meet every worker of a server with two."""


def start_chromium(playwright: Playwright) -> Browser:
    """As people have it: pages that were left are kept for Back, if they allow it."""
    return playwright.chromium.launch(
        executable_path=CHROMIUM,
        args=["--no-sandbox", f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1"],
        ignore_default_args=["--disable-back-forward-cache"],
    )


class Browsing:
    """Windows of one test, each with cookies of its own."""

    def __init__(self, browser: Browser, server: Serving) -> None:
        self._browser = browser
        self.url = f"http://localhost:{server.port}"
        self.complaints: list[str] = []
        """Errors of scripts, violations of the Content-Security-Policy, assets that were not there."""
        self._contexts: list[Any] = []

    def window(self, script: bool = True, watched: bool = True, **options: Any) -> Page:
        """A new one; `watched`: what its pages complain of counts."""
        context = self._browser.new_context(
            java_script_enabled=script,
            **{"base_url": self.url, "viewport": {"width": 1200, "height": 800}, **options},
        )
        context.set_default_timeout(SECONDS_MAX * 1000)
        self._contexts.append(context)
        if watched:
            context.on("console", self._note)
            context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        return context.new_page()

    def _note(self, message: ConsoleMessage) -> None:
        if message.type not in ("error", "warning"):
            return
        # A page that is itself answered with 4xx is one, too.
        is_page = "/assets/" not in message.location["url"]
        if is_page and message.text.startswith("Failed to load resource: the server responded with"):
            return
        self.complaints.append(f"{message.location['url']}: {message.text}")

    def close(self) -> None:
        """All of them."""
        for context in self._contexts:
            context.close()


def sign_in(page: Page, person: Person) -> None:
    """Sign in, to the list of tokens."""
    page.goto("/console/")
    fill_sign_in(page, person)
    arrived(page, "Tokens")


def fill_sign_in(page: Page, person: Person, password: str = "") -> None:
    """Fill in the form and send it."""
    page.get_by_label("E-mail address").fill(person.username)
    page.get_by_label("Password").fill(password or person.password)
    remembered = page.locator(f"input[type=radio][value='{person.organization_id}']")
    if remembered.count():
        remembered.check()
    else:
        if page.get_by_role("radio").count():
            page.get_by_role("radio", name="Another").check()
        page.get_by_label("Organization id").fill(person.organization_id)
    press(page, "Sign in")


def press(page: Page, name: str) -> None:
    """The button with that name."""
    page.get_by_role("button", name=name, exact=True).click()


def follow(page: Page, name: str) -> None:
    """The link with that name."""
    page.get_by_role("link", name=name, exact=True).click()


def arrived(page: Page, heading: str) -> None:
    """Wait for the page with that heading."""
    expect(page.get_by_role("heading", level=1)).to_have_text(heading)


def says(page: Page, text: str) -> None:
    """Wait until the page says so."""
    expect(page.get_by_text(text).first).to_be_visible()


def row(page: Page, text: str) -> Any:
    """The row of a table in which the text is."""
    return page.get_by_role("row").filter(has_text=text)


def visit(page: Page, path: str) -> Response:
    """Open a page of the server."""
    response = page.goto(path)
    assert response is not None
    return response


def verdicts(server: Serving, token: str) -> set[int]:
    """What all workers say of a token."""
    header = [("Authorization", f"Token {token}")]
    return {exchange(server.port, "GET", "/api/auth/verify/", header).status for _ in range(ASKED)}
