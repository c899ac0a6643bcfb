"""What owners may change of their organization, and everybody of their own password."""

from functools import partial
from typing import Any

import pytest

from nightlatch.model.errors import (
    CredentialsRejected,
    InvalidValue,
    Refused,
    SessionEnded,
    Throttled,
)
from nightlatch.model.names import LimitPolicy, OrganizationId
from nightlatch.usecases.change_own_password import change_own_password
from nightlatch.usecases.create_token import create_token
from nightlatch.usecases.find_session import find_session
from nightlatch.usecases.flush_refusals import flush_refusals
from nightlatch.usecases.issue_password_link import issue_password_link
from nightlatch.usecases.sign_in import sign_in
from nightlatch.usecases.update_organization import (
    OrganizationChange,
    update_organization,
    update_organization_as_owner,
)
from nightlatch.usecases.use_password_link import use_password_link
from tests.accounts import PASSWORD, Accounts, Person
from tests.conftest import Database
from tests.console_people import (
    NEW,
    ORIGIN,
    Scene,
    at_once,
    last_event,
    new_scene,
    recorded,
    signed_in,
    stored,
)
from tests.memory import Memory

pytestmark = pytest.mark.every_release


@pytest.fixture
def scene(accounts: Accounts) -> Scene:
    accounts.services.refusals.take()
    return new_scene(accounts)


@pytest.mark.parametrize("allowed", ["name,limit_policy,time_to_live", "token_limit", ""])
def test_owners_change_what_the_operator_lets_them(allowed: str, database: Database) -> None:
    accounts = Accounts(database.url, owners_may_change=allowed)
    try:
        owner = accounts.add_person()
        session = signed_in(accounts, owner)
        changes: dict[str, dict[str, Any]] = {
            "name": {"name": "Other"},
            "token_limit": {"token_limit": 7},
            "limit_policy": {"limit_policy": LimitPolicy.REPLACE_OLDEST},
            "time_to_live": {"never_expires": True},
            "child_token_limit": {"child_token_limit": 1},
            "child_time_to_live": {"child_time_to_live": 60},
        }
        for field, change in changes.items():
            # All of a form is sent, with what stays as it is.
            asked = OrganizationChange(**{"token_limit": 20, **change})
            if field in allowed.split(","):
                changed = accounts.do(update_organization_as_owner, session, asked, ORIGIN)
                assert getattr(changed, field) == change.get(field)
                back = OrganizationChange(token_limit=20)
                accounts.do(update_organization, OrganizationId(owner.organization_id), back)
            else:
                before = stored(accounts)
                with pytest.raises(InvalidValue, match="operator") as raised:
                    accounts.do(update_organization_as_owner, session, asked, ORIGIN)
                assert raised.value.field == field
                assert stored(accounts) == before
    finally:
        accounts.close()


def test_an_organizations_rules_are_checked_for_owners_too(scene: Scene, accounts: Accounts) -> None:
    session = scene.signed_in(scene.owner)
    for change in (OrganizationChange(name=" "), OrganizationChange(time_to_live=0)):
        with pytest.raises(InvalidValue):
            accounts.do(update_organization_as_owner, session, change, ORIGIN)


# One's own password


def test_a_changed_password_ends_all_tokens_and_all_other_sessions(scene: Scene, accounts: Accounts) -> None:
    memory = Memory(accounts)
    try:
        elsewhere = accounts.join(scene.member, scene.stranger.organization_id)
        there = accounts.log_in(elsewhere)
        secrets = [
            accounts.do(sign_in, person.credentials, ORIGIN).reveal() for person in (scene.member, elsewhere)
        ]
        owners = accounts.do(sign_in, scene.owner.credentials, ORIGIN).reveal()
        issued = accounts.do(issue_password_link, scene.member.username, 3600)
        assert memory.accepts(scene.members)
        assert memory.accepts(there)
        session = scene.signed_in(scene.member)
        secret = accounts.do(change_own_password, session, PASSWORD, NEW, ORIGIN)
        assert not memory.accepts(scene.members)
        assert not memory.accepts(there)
        for ended in secrets:
            with pytest.raises(SessionEnded):
                accounts.do(find_session, ended)
        with pytest.raises(SessionEnded):
            accounts.do(create_token, session, "", None, ORIGIN)
        renewed = accounts.do(find_session, secret.reveal())
        assert (renewed.identity, renewed.id != session.id) == (session.identity, True)
        accounts.do(create_token, renewed, "", None, ORIGIN)
        accounts.do(find_session, owners)
        assert memory.accepts(scene.owners)
        accounts.log_in(Person(scene.organization_id, scene.member.username, NEW))
        with pytest.raises(CredentialsRejected):
            accounts.log_in(scene.member)
        with pytest.raises(InvalidValue):
            accounts.do(use_password_link, issued.secret.reveal(), "a third long password", ORIGIN)
    finally:
        memory.close()


@pytest.mark.parametrize(
    ("new", "reason"),
    [("short", "too short"), (PASSWORD, "that you have"), ("correcthorsebatterystaple", "guess")],
)
def test_a_password_that_may_not_be_set_changes_nothing(
    new: str, reason: str, scene: Scene, accounts: Accounts
) -> None:
    session = scene.signed_in(scene.owner)
    before, hashed = stored(accounts), accounts.services.passwords.hashed
    with pytest.raises(InvalidValue, match=reason) as raised:
        accounts.do(change_own_password, session, PASSWORD, new, ORIGIN)
    assert raised.value.field == "password"
    assert (stored(accounts), accounts.services.passwords.hashed) == (before, hashed)


def test_guesses_at_the_current_password_are_counted_as_logins_are(database: Database) -> None:
    accounts = Accounts(database.url, failed_logins_per_account="3 per 1h")
    try:
        owner = accounts.add_person()
        session = signed_in(accounts, owner)
        accounts.services.refusals.take()
        for expected in 3 * [CredentialsRejected] + [Throttled]:
            with pytest.raises(expected):
                accounts.do(change_own_password, session, "wrong", NEW, ORIGIN)
        before = last_event(accounts)
        accounts.do(flush_refusals)
        counted = {(event.kind, event.email): event.count for event in recorded(accounts, before)}
        assert counted == {("login_refused", owner.username): 3, ("throttled", owner.username): 1}
        with pytest.raises(Throttled):
            accounts.log_in(owner, address=ORIGIN.address)
    finally:
        accounts.close()


def test_of_two_changes_at_once_one_succeeds(scene: Scene, accounts: Accounts, others: Accounts) -> None:
    sessions = [scene.signed_in(scene.owner), scene.signed_in(scene.owner)]
    passwords = [f"{NEW} {number}" for number in range(2)]
    outcomes = at_once(
        partial(accounts.do, change_own_password, sessions[0], PASSWORD, passwords[0], ORIGIN),
        partial(others.do, change_own_password, sessions[1], PASSWORD, passwords[1], ORIGIN),
    )
    refused = [isinstance(outcome, Refused) for outcome in outcomes]
    assert sorted(refused) == [False, True]
    winner = refused.index(False)
    accounts.log_in(Person(scene.organization_id, scene.owner.username, passwords[winner]))
    accounts.do(find_session, outcomes[winner].reveal())
