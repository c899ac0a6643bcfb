"""The pages of an organization that has been there for a month: where each is, and how to come there."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from playwright.sync_api import Page, expect

from tests.console.browsing import arrived, press, sign_in, visit
from tests.console.made_up import Made


@dataclass(frozen=True, slots=True)
class Shown:
    """A page, and how to come to it in a window that is signed in (or, `is_open`, is not)."""

    name: str
    open: Callable[[Page, Made], None]
    is_open: bool = False
    path: Callable[[Made], str] | None = None
    """If one address leads there."""


def _at(name: str, path: str, is_open: bool = False) -> Shown:
    return Shown(name, lambda page, _: _go(page, f"/console/{path}"), is_open, lambda _: f"/console/{path}")


def _go(page: Page, path: str) -> None:
    visit(page, path)


def _end(made: Made) -> str:
    return "/console/tokens/end/?" + "&".join(
        f"id={token}" for token in (*made.tokens[:1], *made.tokens[9:11])
    )


def _member(page: Page, action: str) -> None:
    visit(page, "/console/members/")
    page.get_by_role("row").filter(has_text="chidi").get_by_role("link", name=action).click()
    expect(page.get_by_text("What happens")).to_be_visible()


def _invite(page: Page, email: str) -> None:
    visit(page, "/console/members/")
    page.get_by_label("E-mail address").fill(email)
    press(page, "Make invitation")
    expect(page.get_by_label("Link")).to_be_visible()


def _accept(page: Page, _: Made) -> None:
    _invite(page, "new.colleague@northwind.example")
    link = page.locator("#link").inner_text()
    press(page, "Sign out")
    # Whatever name the server goes by.
    visit(page, link[link.index("/console/") :])
    arrived(page, "Join Northwind Media")


def _create(page: Page, _: Made) -> None:
    visit(page, "/console/tokens/new/")
    page.get_by_label("Name").fill("thumbnail renderer")
    press(page, "Make token")
    arrived(page, "Your new token")


def _receipt(page: Page, made: Made) -> None:
    visit(page, _end(made))
    page.locator("main button[type=submit]").click()
    arrived(page, "3 tokens have ended")


PAGES: Final = (
    _at("sign-in", "sign-in/", is_open=True),
    _at("tokens", "tokens/"),
    _at("tokens-idle", "tokens/?state=idle"),
    _at("new-token", "tokens/new/"),
    Shown("end-tokens", lambda page, made: _go(page, _end(made)), path=_end),
    _at("members", "members/"),
    Shown("member-role", lambda page, _: _member(page, "Make owner")),
    Shown("member-remove", lambda page, _: _member(page, "Remove")),
    Shown("member-password", lambda page, _: _member(page, "Reset password")),
    _at("activity", "activity/"),
    _at("account", "account/"),
    _at("organization", "organization/"),
    _at("not-found", "nothing/"),
    Shown("invited", lambda page, _: _invite(page, "new.colleague@northwind.example")),
    Shown("tokens-ended", _receipt),
    Shown("token-created", _create),
    Shown("invitation", _accept),
)
"""In an order in which each is possible: what changes something stands behind what needs it as it was."""


def walk(page: Page, made: Made) -> Iterator[Shown]:
    """Each page in turn, open in that window."""
    is_signed_in = False
    for each in PAGES:
        if not each.is_open and not is_signed_in:
            sign_in(page, made.owner)
            is_signed_in = True
        each.open(page, made)
        yield each
