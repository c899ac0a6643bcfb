"""Tokens: seen, found, ended and made."""

import re
import subprocess
from contextlib import suppress

import pytest
from playwright.sync_api import Dialog, Error, Page, expect

from nightlatch.model.names import Role
from tests.accounts import Accounts, Person
from tests.console.browsing import (
    Browsing,
    arrived,
    follow,
    press,
    row,
    says,
    sign_in,
    verdicts,
    visit,
)
from tests.console_people import ago, token_id
from tests.serving import Serving

pytestmark = pytest.mark.slow


def names(page: Page) -> list[str]:
    """Of the tokens in the table, in order."""
    return [text.strip() for text in page.locator("tbody .name").all_inner_texts()]


def used(accounts: Accounts, token: str, days: float) -> None:
    """It was last used so many days ago."""
    accounts.sql("DELETE FROM token_use WHERE token_id = :id", id=token_id(token))
    accounts.sql(
        f"INSERT INTO token_use (token_id, used, address) VALUES (:id, {ago(accounts, days)}, '192.0.2.7')",
        id=token_id(token),
    )


def in_use(page: Page) -> str:
    return page.locator(".meter .figure").inner_text()


def test_an_owner_sees_every_token_and_finds_the_dead_weight(either: Page, accounts: Accounts) -> None:
    owner = accounts.add_person(token_limit=4)
    member = accounts.add_person_to(owner.organization_id)
    for name, person, days in (("zeta", owner, 1), ("alpha", member, 40), ("mid", owner, 3)):
        used(accounts, accounts.log_in(person, name), days)
    accounts.log_in(accounts.add_person(), "another organization's")
    sign_in(either, owner)
    assert in_use(either) == "3 of 4"
    says(either, "1 more can be made.")
    assert names(either) == ["zeta", "mid", "alpha"]
    expect(row(either, "alpha")).to_contain_text(member.username)
    expect(row(either, "alpha")).to_contain_text("192.0.2.7")
    expect(row(either, "alpha")).to_contain_text("idle")

    follow(either, "Token")
    expect(either.locator("th[aria-sort]")).to_have_attribute("aria-sort", "ascending")
    assert names(either) == ["alpha", "mid", "zeta"]
    follow(either, "Token")
    expect(either.locator("th[aria-sort]")).to_have_attribute("aria-sort", "descending")
    assert names(either) == ["zeta", "mid", "alpha"]
    either.get_by_label("User", exact=True).select_option(member.username)
    press(either, "Filter")
    expect(either.locator("tbody .name")).to_have_count(1)
    assert names(either) == ["alpha"]

    either.goto("/console/tokens/")
    follow(either, "Idle 1")
    expect(either.locator("tbody .name")).to_have_count(1)
    assert names(either) == ["alpha"]
    follow(either, "All 3")
    either.get_by_label("Search tokens").fill("ZETA")
    either.get_by_label("Search tokens").press("Enter")
    expect(either.locator("tbody .name")).to_have_count(1)
    assert names(either) == ["zeta"]
    either.get_by_label("Search tokens").fill("nothing has this name")
    press(either, "Filter")
    says(either, "No token fits")
    follow(either, "Show all")
    expect(either.locator("tbody .name")).to_have_count(3)


def test_a_token_is_ended_after_it_was_named_and_then_refused_everywhere(
    either: Page, accounts: Accounts, server: Serving
) -> None:
    owner = accounts.add_person()
    token, other = accounts.log_in(owner, "nightly export"), accounts.log_in(owner, "grafana")
    assert verdicts(server, token) == verdicts(server, other) == {200}
    sign_in(either, owner)
    row(either, "nightly export").get_by_role("link", name="End").click()
    arrived(either, "End 1 token?")
    says(either, "nightly export")
    expect(either.get_by_text("grafana")).to_have_count(0)
    assert verdicts(server, token) == {200}
    press(either, "End 1 token")
    arrived(either, "1 token has ended")
    assert verdicts(server, token) == {401}
    says(either, "In force everywhere.")
    says(either, "nightly export")
    assert verdicts(server, other) == {200}
    follow(either, "To the tokens")
    expect(either.locator("tbody .name")).to_have_count(1)
    assert names(either) == ["grafana"]


def test_nothing_ends_when_one_thinks_better_of_it(either: Page, accounts: Accounts, server: Serving) -> None:
    owner = accounts.add_person()
    token = accounts.log_in(owner, "nightly export")
    sign_in(either, owner)
    row(either, "nightly export").get_by_role("link", name="End").click()
    arrived(either, "End 1 token?")
    follow(either, "Cancel")
    arrived(either, "Tokens")
    assert verdicts(server, token) == {200}


def test_those_selected_end_together(either: Page, accounts: Accounts, server: Serving) -> None:
    owner = accounts.add_person()
    tokens = {name: accounts.log_in(owner, name) for name in ("one", "two", "three")}
    sign_in(either, owner)
    either.get_by_label("one", exact=True).check()
    either.get_by_label("three", exact=True).check()
    press(either, "End selected")
    arrived(either, "End 2 tokens?")
    press(either, "End 2 tokens")
    arrived(either, "2 tokens have ended")
    assert [verdicts(server, tokens[name]) for name in ("one", "two", "three")] == [{401}, {200}, {401}]


def test_all_of_a_user_end_and_all_that_idle(either: Page, accounts: Accounts, server: Serving) -> None:
    owner = accounts.add_person()
    member = accounts.add_person_to(owner.organization_id)
    theirs = [accounts.log_in(member, name) for name in ("laptop", "phone")]
    own = {name: accounts.log_in(owner, name) for name in ("fresh", "stale")}
    used(accounts, own["fresh"], 1)
    used(accounts, own["stale"], 31)
    sign_in(either, owner)
    either.get_by_label("All tokens of").select_option(member.username)
    press(either, "End all of them")
    arrived(either, "End 2 tokens?")
    says(either, member.username)
    press(either, "End 2 tokens")
    arrived(either, "2 tokens have ended")
    assert verdicts(server, theirs[0]) == verdicts(server, theirs[1]) == {401}
    follow(either, "To the tokens")
    either.get_by_label("Not used for, in days").fill("30")
    press(either, "End idle tokens")
    arrived(either, "End 1 token?")
    says(either, "stale")
    press(either, "End 1 token")
    arrived(either, "1 token has ended")
    assert verdicts(server, own["stale"]) == {401}
    assert verdicts(server, own["fresh"]) == {200}


def test_two_owners_who_end_the_same_token_at_once_both_get_a_true_receipt(
    browsing: Browsing, accounts: Accounts, server: Serving
) -> None:
    ann = accounts.add_person()
    bob = accounts.add_person_to(ann.organization_id, Role.OWNER)
    tokens = [accounts.log_in(ann, name) for name in ("shared", "ann's", "bob's")]
    windows = [browsing.window(), browsing.window()]
    for page, person, own in zip(windows, (ann, bob), (1, 2), strict=True):
        sign_in(page, person)
        ids = "&".join(f"id={token_id(tokens[each])}" for each in (0, own))
        visit(page, f"/console/tokens/end/?{ids}")
        arrived(page, "End 2 tokens?")
    for page in windows:
        # Both are sent before either is answered.
        page.evaluate("document.querySelector('main form').requestSubmit()")
    for page in windows:
        expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("tokens? ha(s|ve) ended"))
    assert [verdicts(server, token) for token in tokens] == [{401}] * 3
    ended = [page.locator(".ending .name").all_inner_texts() for page in windows]
    assert sorted(name.strip() for receipt in ended for name in receipt) == ["ann's", "bob's", "shared"]
    later = windows[0 if len(ended[0]) == 1 else 1]
    says(later, "1 token had ended already")
    kinds = accounts.sql(
        "SELECT count(*) FROM event WHERE organization_id = :id AND kind LIKE 'token%revoked'",
        id=ann.organization_id,
    )
    assert kinds[0][0] == 2


def test_a_token_is_shown_once_and_works_at_once(
    either: Page, accounts: Accounts, server: Serving, browsing: Browsing
) -> None:
    owner = accounts.add_person()
    sign_in(either, owner)
    arrived(either, "Tokens")
    says(either, "First steps")
    either.get_by_role("link", name="New token").first.click()
    arrived(either, "New token")
    either.get_by_label("Name").fill("  nightly export ")
    either.get_by_label("Expires after").select_option(label="7 days")
    press(either, "Make token")
    arrived(either, "Your new token")
    token = either.locator("#token").inner_text()
    assert verdicts(server, token) == {200}
    assert browsing.url in either.locator("#code-curl").inner_text()
    run = subprocess.run(
        [
            "bash",
            "-c",
            either.locator("#variable").inner_text() + "\n" + either.locator("#code-curl").inner_text(),
        ],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert owner.organization_id in run.stdout, run.stderr
    follow(either, "I have copied it")
    arrived(either, "Tokens")
    assert names(either) == ["nightly export"]
    expect(row(either, "nightly export")).to_contain_text("in 7 days")
    assert token not in either.content()
    with suppress(Error):  # "Confirm form resubmission": nobody confirms
        either.go_back()
    expect(either.get_by_text(token)).to_have_count(0)
    assert accounts.live_tokens(owner.organization_id) == 1


def test_the_copy_button_copies_the_whole_token(browsing: Browsing, accounts: Accounts) -> None:
    page = browsing.window(permissions=["clipboard-read", "clipboard-write"])
    sign_in(page, accounts.add_person())
    page.goto("/console/tokens/new/")
    press(page, "Make token")
    arrived(page, "Your new token")
    button = page.get_by_role("button", name="Copy").first
    button.click()
    says(page, "Copied")
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("#token").inner_text()
    # Every language's tab shows its own example.
    for label, word in (("Python", "import"), ("Ruby", "require"), ("PHP", "<?php"), ("JavaScript", "fetch")):
        page.get_by_text(label, exact=True).click()
        expect(page.locator(".panel:visible")).to_contain_text(word)
        expect(page.locator(".panel:visible")).to_have_count(1)


def test_at_the_limit_a_page_says_what_to_do_and_nothing_is_made(either: Page, accounts: Accounts) -> None:
    owner = accounts.add_person(token_limit=1)
    accounts.log_in(owner, "the only one")
    sign_in(either, owner)
    assert in_use(either) == "1 of 1"
    says(either, "The limit is reached: logins are refused until a token ends.")
    follow(either, "New token")
    says(either, "The limit of 1 is reached.")
    either.get_by_label("Name").fill("one too many")
    press(either, "Make token")
    expect(either.get_by_role("alert")).to_contain_text("as many tokens as it may have")
    expect(either.get_by_label("Name")).to_have_value("one too many")
    assert accounts.live_tokens(owner.organization_id) == 1


def test_a_member_sees_and_ends_only_their_own(
    either: Page, accounts: Accounts, server: Serving, browsing: Browsing
) -> None:
    owner = accounts.add_person()
    member = accounts.add_person_to(owner.organization_id)
    owners, own = accounts.log_in(owner, "the owner's"), accounts.log_in(member, "my laptop")
    sign_in(either, member)
    assert names(either) == ["my laptop"]
    assert either.locator("nav[aria-label=Console] a").all_inner_texts() == ["Tokens", "Account"]
    for path in ("members/", "activity/", "activity/export/", "organization/"):
        if path.endswith("export/"):
            assert either.request.get(f"/console/{path}?format=csv").status == 403
            continue
        assert visit(either, f"/console/{path}").status == 403
        arrived(either, "Only owners see this page")
    for query in (f"id={token_id(owners)}", f"user={owner.username}"):
        visit(either, f"/console/tokens/end/?{query}")
        arrived(either, "Nothing to end")
    visit(either, f"/console/tokens/end/?id={token_id(owners)}&id={token_id(own)}")
    press(either, "End 1 token")
    arrived(either, "1 token has ended")
    assert (verdicts(server, owners), verdicts(server, own)) == ({200}, {401})


def test_another_organizations_owner_finds_nothing(page: Page, accounts: Accounts, server: Serving) -> None:
    token = accounts.log_in(accounts.add_person(), "not yours")
    stranger = accounts.add_person()
    sign_in(page, stranger)
    visit(page, f"/console/tokens/end/?id={token_id(token)}")
    arrived(page, "Nothing to end")
    answer = page.request.post(
        "/console/tokens/end/",
        form={"id": token_id(token)},
        headers={"Sec-Fetch-Site": "same-origin"},
    )
    assert "No token was ended" in answer.text()
    assert verdicts(server, token) == {200}


def hostile(person: Person) -> str:
    return f"<img src=x onerror=alert(1)>{person.organization_id}"


def test_a_tokens_name_is_text_on_every_page_that_shows_it(browsing: Browsing, accounts: Accounts) -> None:
    owner = accounts.add_person()
    page = browsing.window()
    opened: list[Dialog] = []
    page.on("dialog", lambda dialog: opened.append(dialog))
    sign_in(page, owner)
    page.goto("/console/tokens/new/")
    page.get_by_label("Name").fill(hostile(owner))
    press(page, "Make token")
    arrived(page, "Your new token")
    for path in ("tokens/", f"tokens/end/?user={owner.username}"):
        visit(page, f"/console/{path}")
        says(page, "<img src=x onerror=alert(1)>")
        assert page.locator("img").count() == 0
    assert not opened
