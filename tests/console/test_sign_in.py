"""Signing in and out."""

import pytest
from playwright.sync_api import Page, expect

from tests.accounts import Accounts
from tests.console.browsing import (
    ELSEWHERE,
    Browsing,
    arrived,
    fill_sign_in,
    follow,
    press,
    says,
    sign_in,
    visit,
)

pytestmark = pytest.mark.slow


def test_after_a_wrong_password_only_the_password_is_to_be_typed_again(
    either: Page, accounts: Accounts
) -> None:
    person = accounts.add_person()
    either.goto("/console/")
    fill_sign_in(either, person, "not the password")
    says(either, "do not fit together")
    expect(either.get_by_label("E-mail address")).to_have_value(person.username)
    expect(either.get_by_label("Organization id")).to_have_value(person.organization_id)
    expect(either.get_by_label("Password")).to_have_value("")
    either.get_by_label("Password").fill(person.password)
    press(either, "Sign in")
    arrived(either, "Tokens")


def test_an_organization_is_remembered_after_the_first_time(either: Page, accounts: Accounts) -> None:
    person = accounts.add_person()
    second = accounts.join(person, accounts.add_person().organization_id)
    sign_in(either, person)
    press(either, "Sign out")
    says(either, "You are signed out.")
    either.get_by_label("E-mail address").fill(person.username)
    either.get_by_label("Password").fill(person.password)
    expect(either.get_by_role("radio", name=f"Acme {person.organization_id}")).to_be_checked()
    press(either, "Sign in")
    arrived(either, "Tokens")
    press(either, "Sign out")
    # Another one, which then comes first.
    fill_sign_in(either, second)
    arrived(either, "Tokens")
    press(either, "Sign out")
    radios = either.get_by_role("radio")
    assert [radios.nth(each).get_attribute("value") for each in range(3)] == [
        second.organization_id,
        person.organization_id,
        "",
    ]


def test_who_asks_for_a_page_gets_it_after_signing_in(either: Page, accounts: Accounts) -> None:
    either.goto("/console/activity/?kind=login")
    fill_sign_in(either, accounts.add_person())
    arrived(either, "Activity")
    assert either.url.endswith("/console/activity/?kind=login")
    # Who is signed in is not asked again.
    visit(either, "/console/sign-in/")
    arrived(either, "Tokens")


def test_no_script_reads_the_session_and_no_token_is_used_up(page: Page, accounts: Accounts) -> None:
    person = accounts.add_person()
    sign_in(page, person)
    assert page.evaluate("document.cookie") == ""
    assert page.evaluate("localStorage.length + sessionStorage.length") == 0
    (session,) = (each for each in page.context.cookies() if each["name"] == "__Host-nightlatch-session")
    assert (session["secure"], session["httpOnly"], session["sameSite"]) == (True, True, "Lax")
    assert accounts.live_tokens(person.organization_id) == 0


def test_back_after_signing_out_shows_nothing_of_the_page(
    either: Page, browsing: Browsing, accounts: Accounts
) -> None:
    person = accounts.add_person()
    accounts.log_in(person, "nightly export")
    sign_in(either, person)
    says(either, "nightly export")
    follow(either, "Account")
    arrived(either, "Account")
    kept = either.context.cookies()
    press(either, "Sign out")
    says(either, "You are signed out.")
    for _ in range(2):
        either.go_back()
        arrived(either, "Sign in")
        expect(either.get_by_text(person.username)).to_have_count(0)
        expect(either.get_by_text("nightly export")).to_have_count(0)
    # Nor does the cookie, should somebody have kept it.
    thief = browsing.window()
    thief.context.add_cookies(kept)  # type: ignore[arg-type]
    visit(thief, "/console/tokens/")
    arrived(thief, "Sign in")


def test_over_plain_http_from_elsewhere_a_page_says_why_one_is_not_signed_in(
    browsing: Browsing, accounts: Accounts
) -> None:
    page = browsing.window(watched=False, base_url=browsing.url.replace("localhost", ELSEWHERE))
    page.goto("/console/")
    fill_sign_in(page, accounts.add_person())
    arrived(page, "Your browser does not keep you signed in")
