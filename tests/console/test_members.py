"""Members: invited, joined, given a role, removed; their passwords reset."""

import pytest
from playwright.sync_api import Page, expect

from nightlatch.model.names import Role
from tests.accounts import PASSWORD, Accounts, Person
from tests.console.browsing import (
    Browsing,
    arrived,
    fill_sign_in,
    follow,
    press,
    row,
    says,
    sign_in,
    verdicts,
    visit,
)
from tests.serving import Serving

pytestmark = pytest.mark.slow
NEW = "quite another password"


def invite(page: Page, email: str, role: str = "Member: own tokens") -> str:
    """The link that an owner gets to hand on."""
    visit(page, "/console/members/")
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Role").select_option(label=role)
    press(page, "Make invitation")
    expect(page.get_by_label("Link")).to_be_visible()
    return str(page.locator("#link").inner_text())


def test_from_an_invitation_to_a_removal(
    either: Page, browsing: Browsing, accounts: Accounts, server: Serving
) -> None:
    owner = accounts.add_person()
    newcomer = Person(owner.organization_id, f"new-{owner.username}", NEW)
    sign_in(either, owner)
    link = invite(either, newcomer.username)
    follow(either, "To the members")
    says(either, "Invited")

    # In another browser: a password is set, and the organization is there.
    theirs = browsing.window()
    theirs.goto(link)
    arrived(theirs, "Join Acme")
    expect(theirs.get_by_label("E-mail address")).to_have_value(newcomer.username)
    theirs.get_by_label("Password").fill("short")
    press(theirs, "Join")
    expect(theirs.get_by_role("alert")).to_be_visible()
    theirs.get_by_label("Password").fill(NEW)
    press(theirs, "Join")
    says(theirs, "You are a member now.")
    expect(theirs.get_by_label("E-mail address")).to_have_value(newcomer.username)
    expect(theirs.get_by_label("Organization id")).to_have_value(owner.organization_id)
    theirs.get_by_label("Password").fill(NEW)
    press(theirs, "Sign in")
    arrived(theirs, "Tokens")
    assert theirs.locator("nav[aria-label=Console] a").all_inner_texts() == ["Tokens", "Account"]
    token = accounts.log_in(newcomer)
    assert verdicts(server, token) == {200}
    # The link is used up.
    assert visit(browsing.window(), link).status == 404

    # An owner of them, which the next page they open knows.
    visit(either, "/console/members/")
    row(either, newcomer.username).get_by_role("link", name="Make owner").click()
    either.get_by_role("button", name="owner").click()
    says(either, "The role is changed.")
    theirs.reload()
    follow(theirs, "Members")
    arrived(theirs, "Members")
    expect(theirs.get_by_role("row")).to_have_count(3)

    # Removed: tokens and sessions are gone.
    row(either, newcomer.username).get_by_role("link", name="Remove").click()
    says(either, newcomer.username)
    either.locator("main button[type=submit]").click()
    says(either, "The member is removed")
    assert verdicts(server, token) == {401}
    expect(row(either, newcomer.username)).to_have_count(0)
    theirs.reload()
    arrived(theirs, "Sign in")
    says(theirs, "Your session has ended.")
    fill_sign_in(theirs, newcomer)
    says(theirs, "do not fit together")


def test_who_has_an_account_joins_with_its_password(
    either: Page, browsing: Browsing, accounts: Accounts
) -> None:
    owner, guest = accounts.add_person(), accounts.add_person()
    sign_in(either, owner)
    link = invite(either, guest.username, "Owner: everything")
    theirs = browsing.window()
    theirs.goto(link)
    theirs.get_by_label("Password").fill(NEW)
    press(theirs, "Join")
    expect(theirs.get_by_role("alert")).to_contain_text("that is not its password")
    theirs.get_by_label("Password").fill(PASSWORD)
    press(theirs, "Join")
    says(theirs, "You are a member now.")
    fill_sign_in(theirs, Person(owner.organization_id, guest.username))
    arrived(theirs, "Tokens")
    follow(theirs, "Members")
    arrived(theirs, "Members")
    # The password is as it was: the other organization is still theirs.
    accounts.log_in(guest)


def test_a_withdrawn_invitation_lets_nobody_in(either: Page, browsing: Browsing, accounts: Accounts) -> None:
    owner = accounts.add_person()
    sign_in(either, owner)
    link = invite(either, f"new-{owner.username}")
    open_already = browsing.window()
    open_already.goto(link)
    follow(either, "To the members")
    follow(either, "Withdraw")
    either.locator("main button[type=submit]").click()
    says(either, "The invitation is withdrawn.")
    open_already.get_by_label("Password").fill(NEW)
    press(open_already, "Join")
    arrived(open_already, "This invitation does not work")


def test_a_members_password_is_reset_by_a_link(
    either: Page, browsing: Browsing, accounts: Accounts, server: Serving
) -> None:
    owner = accounts.add_person()
    member = accounts.add_person_to(owner.organization_id)
    token = accounts.log_in(member)
    theirs = browsing.window()
    sign_in(theirs, member)
    sign_in(either, owner)
    follow(either, "Members")
    row(either, member.username).get_by_role("link", name="Reset password").click()
    either.locator("main button[type=submit]").click()
    expect(either.get_by_label("Link")).to_be_visible()
    link = either.locator("#link").inner_text()
    # Nothing has happened yet.
    assert verdicts(server, token) == {200}
    page = browsing.window()
    page.goto(link)
    page.get_by_label("New password").fill(NEW)
    press(page, "Set password")
    arrived(page, "Your password is set")
    assert verdicts(server, token) == {401}
    theirs.reload()
    arrived(theirs, "Sign in")
    fill_sign_in(theirs, Person(member.organization_id, member.username, NEW))
    arrived(theirs, "Tokens")


def test_no_link_is_made_for_who_belongs_elsewhere_too(either: Page, accounts: Accounts) -> None:
    owner, guest = accounts.add_person(), accounts.add_person()
    accounts.join(guest, owner.organization_id)
    sign_in(either, owner)
    follow(either, "Members")
    row(either, guest.username).get_by_role("link", name="Reset password").click()
    either.locator("main button[type=submit]").click()
    expect(either.get_by_role("alert")).to_be_visible()
    expect(either.locator("#link")).to_have_count(0)


def test_the_last_owner_stays(either: Page, accounts: Accounts) -> None:
    owner = accounts.add_person()
    accounts.add_person_to(owner.organization_id)
    sign_in(either, owner)
    for action in ("Make member", "Remove"):
        follow(either, "Members")
        row(either, owner.username).get_by_role("link", name=action).click()
        either.locator("main button[type=submit]").click()
        expect(either.get_by_role("alert")).to_contain_text("owner")
    follow(either, "Members")
    expect(row(either, owner.username)).to_contain_text("Make member")


def test_after_ten_minutes_the_password_is_asked_for_again(either: Page, accounts: Accounts) -> None:
    owner = accounts.add_person()
    second = accounts.add_person_to(owner.organization_id, Role.OWNER)
    sign_in(either, owner)
    accounts.sql(
        "UPDATE session SET confirmed = created - 1 * "
        + ("900000000" if accounts.engines.sqlite_file else "interval '15 minutes'")
        + " WHERE organization_id = :id",
        id=owner.organization_id,
    )
    follow(either, "Members")
    row(either, second.username).get_by_role("link", name="Make member").click()
    either.get_by_label("Your password").fill("not the password")
    either.locator("main form button[type=submit]").click()
    expect(either.get_by_role("alert")).to_contain_text("That is not your password.")
    either.get_by_label("Your password").fill(owner.password)
    either.locator("main form button[type=submit]").click()
    says(either, "The role is changed.")
    # And not once more.
    row(either, second.username).get_by_role("link", name="Remove").click()
    expect(either.get_by_label("Your password")).to_have_count(0)
