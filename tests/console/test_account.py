"""One's own password and sessions, the audit log, the organization, the language."""

import csv
import io
import json

import pytest
from playwright.sync_api import Page, expect

from tests.accounts import Accounts, Person
from tests.console.browsing import (
    Browsing,
    arrived,
    fill_sign_in,
    follow,
    press,
    says,
    sign_in,
    verdicts,
    visit,
)
from tests.console_preview import FIREFOX
from tests.serving import Serving

pytestmark = pytest.mark.slow
NEW = "quite another password"


def test_a_new_password_ends_all_but_this_session(
    either: Page, browsing: Browsing, accounts: Accounts, server: Serving
) -> None:
    person = accounts.add_person()
    token = accounts.log_in(person)
    elsewhere = browsing.window()
    sign_in(elsewhere, person)
    sign_in(either, person)
    follow(either, "Account")
    either.get_by_label("Current password").fill("not the password")
    either.get_by_label("New password").fill(NEW)
    press(either, "Change password")
    says(either, "That is not your password.")
    assert verdicts(server, token) == {200}
    either.get_by_label("Current password").fill(person.password)
    either.get_by_label("New password").fill("short")
    press(either, "Change password")
    expect(either.get_by_role("alert")).to_be_visible()
    either.get_by_label("Current password").fill(person.password)
    either.get_by_label("New password").fill(NEW)
    press(either, "Change password")
    says(either, "Your password is changed.")
    assert verdicts(server, token) == {401}
    follow(either, "Tokens")
    arrived(either, "Tokens")
    follow(elsewhere, "Account")
    arrived(elsewhere, "Sign in")
    fill_sign_in(elsewhere, person)
    says(elsewhere, "do not fit together")
    fill_sign_in(elsewhere, person, NEW)
    arrived(elsewhere, "Account")


def test_a_session_ended_in_another_window_ends_where_it_was(
    either: Page, browsing: Browsing, accounts: Accounts
) -> None:
    person = accounts.add_person()
    accounts.log_in(person, "nightly export")
    other = browsing.window(user_agent=FIREFOX)
    sign_in(other, person)
    third = browsing.window()
    sign_in(third, person)
    sign_in(either, person)
    other.goto("/console/tokens/new/")
    other.get_by_label("Name").fill("typed before")
    follow(either, "Account")
    sessions = either.get_by_role("table", name="Sessions")
    firefox = sessions.get_by_role("row").filter(has_text="Firefox 140, Linux")
    firefox.get_by_role("button", name="End", exact=True).click()
    says(either, "The session has ended.")
    expect(firefox).to_have_count(0)
    # What it was about to do is not done.
    press(other, "Make token")
    arrived(other, "Sign in")
    says(other, "Your session has ended.")
    assert accounts.live_tokens(person.organization_id) == 1
    fill_sign_in(other, person)
    arrived(other, "Tokens")
    # The third one asks for a page, and gets it after signing in again.
    press(either, "End all others")
    says(either, "All other sessions have ended.")
    visit(third, "/console/activity/?kind=login")
    arrived(third, "Sign in")
    fill_sign_in(third, person)
    arrived(third, "Activity")
    assert third.url.endswith("/console/activity/?kind=login")
    either.reload()
    arrived(either, "Account")


def test_the_audit_log_is_narrowed_and_exported(either: Page, accounts: Accounts) -> None:
    owner = accounts.add_person()
    member = accounts.add_person_to(owner.organization_id)
    stranger = accounts.add_person()
    for person in (owner, member, member, stranger):
        accounts.log_in(person)
    sign_in(either, owner)
    follow(either, "Activity")
    expect(either.locator("tbody tr").filter(has_text="Token made by a login")).to_have_count(3)
    expect(either.get_by_text(stranger.username)).to_have_count(0)
    either.get_by_label("What").select_option("login")
    either.get_by_label("User").fill(f" {member.username.upper()} ")
    press(either, "Filter")
    expect(either.locator("tbody tr")).to_have_count(2)
    with either.expect_download() as csv_file:
        follow(either, "Export CSV")
    assert csv_file.value.suggested_filename.startswith(f"nightlatch-{owner.organization_id}-")
    assert csv_file.value.suggested_filename.endswith(".csv")
    rows = list(csv.DictReader(io.StringIO(csv_file.value.path().read_text("utf-8"))))
    assert [(each["kind"], each["user"]) for each in rows] == [("login", member.username)] * 2
    with either.expect_download() as jsonl_file:
        follow(either, "Export JSON")
    assert jsonl_file.value.suggested_filename.endswith(".jsonl")
    lines = [json.loads(line) for line in jsonl_file.value.path().read_text("utf-8").splitlines()]
    assert [str(each["id"]) for each in lines] == [each["id"] for each in rows]
    either.get_by_label("To").fill("2000-01-01")
    press(either, "Filter")
    says(either, "No event fits")
    follow(either, "Show all")
    expect(either.locator("tbody tr").filter(has_text="Token made by a login")).to_have_count(3)


def test_an_owner_changes_what_the_operator_lets_them(either: Page, accounts: Accounts) -> None:
    owner = accounts.add_person()
    sign_in(either, owner)
    follow(either, "Organization")
    expect(either.get_by_label("Token limit")).to_have_count(0)
    says(either, "What is only shown here is changed by whoever runs this server.")
    either.get_by_label("Name").fill("Northwind & Söhne")
    either.locator("input[name=time_to_live]").fill("0")
    either.evaluate("document.querySelector('main form').noValidate = true")
    press(either, "Save")
    expect(either.locator("[aria-invalid=true]")).to_have_count(1)
    expect(either.get_by_label("Name")).to_have_value("Northwind & Söhne")
    either.locator("input[name=time_to_live]").fill("7")
    either.get_by_label("Unit").select_option("days")
    either.locator("input[name=limit_policy][value=replace_oldest]").check()
    press(either, "Save")
    says(either, "Saved.")
    expect(either.locator(".top .organization")).to_contain_text("Northwind & Söhne")
    (kept,) = accounts.sql(
        "SELECT name, limit_policy, time_to_live FROM organization WHERE id = :id", id=owner.organization_id
    )
    assert tuple(kept) == ("Northwind & Söhne", "replace_oldest", 7 * 24 * 3600)


def test_the_language_is_chosen_once(browsing: Browsing, accounts: Accounts) -> None:
    person = accounts.add_person()
    page = browsing.window(locale="en-GB")
    page.goto("/console/")
    follow(page, "Deutsch")
    arrived(page, "Anmelden")
    page.get_by_label("E-Mail-Adresse").fill(person.username)
    page.get_by_label("Passwort").fill(person.password)
    page.get_by_label("Organisations-ID").fill(person.organization_id)
    press(page, "Anmelden")
    arrived(page, "Token")
    assert page.locator("html").get_attribute("lang") == "de"
    follow(page, "English")
    arrived(page, "Tokens")
    # And who has chosen nothing gets the browser's.
    german = browsing.window(locale="de-AT")
    german.goto("/console/")
    arrived(german, "Anmelden")


def test_times_are_in_the_readers_zone(browsing: Browsing, accounts: Accounts) -> None:
    person = accounts.add_person()
    token = accounts.log_in(person)
    moment = 1_790_000_000  # 2026-09-21 14:13:20 UTC
    value = str(moment * 1_000_000) if accounts.engines.sqlite_file else f"to_timestamp({moment})"
    accounts.sql(f"UPDATE token SET created = {value} WHERE id = :id", id=token[4:16])
    for zone, script, shown in (("Asia/Tokyo", True, "11:13"), ("Asia/Tokyo", False, "2026-09-21 14:13 UTC")):
        page = browsing.window(timezone_id=zone, script=script)
        sign_in(page, Person(person.organization_id, person.username))
        expect(page.locator("tbody tr")).to_contain_text(shown)
