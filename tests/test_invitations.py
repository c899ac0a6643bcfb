"""Invitations: once, in time, for one address; worth no account that there is."""

from dataclasses import fields
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from nightlatch.model.errors import (
    AlreadyExists,
    CredentialsRejected,
    InvalidValue,
    InvitationLimitReached,
    NightlatchError,
    NotFound,
    Refused,
    Throttled,
)
from nightlatch.model.invitation import PENDING_MAX, FoundInvitation, InvitationId, IssuedInvitation
from nightlatch.model.names import Role
from nightlatch.usecases.accept_invitation import accept_invitation, find_invitation
from nightlatch.usecases.add_member import add_member
from nightlatch.usecases.add_user import add_user
from nightlatch.usecases.close_organization import close_organization
from nightlatch.usecases.disable_user import disable_user
from nightlatch.usecases.flush_refusals import flush_refusals
from nightlatch.usecases.invite_member import invite_member, withdraw_invitation
from nightlatch.usecases.list_members import list_invitations
from nightlatch.usecases.prune import prune_expired
from nightlatch.usecases.set_password import set_password
from tests.accounts import PASSWORD, Accounts, Person
from tests.conftest import Database
from tests.console_people import (
    NEW,
    ORIGIN,
    Scene,
    ago,
    at_once,
    last_event,
    new_scene,
    recorded,
    signed_in,
    stored,
)
from tests.memory import Memory

pytestmark = pytest.mark.every_release

FIELDS = [field.name for field in fields(FoundInvitation)]


@pytest.fixture
def scene(accounts: Accounts) -> Scene:
    accounts.services.refusals.take()
    return new_scene(accounts)


def invite(scene: Scene, email: str, role: Role = Role.MEMBER) -> str:
    session = scene.signed_in(scene.owner)
    issued: IssuedInvitation = scene.accounts.do(invite_member, session, email, role, ORIGIN)
    return issued.secret.reveal()


@pytest.fixture
def address(scene: Scene) -> str:
    return f"ann-{scene.owner.username}"


def accept_error(accounts: Accounts, link: str, password: str = NEW) -> NightlatchError:
    with pytest.raises(NightlatchError) as raised:
        accounts.do(accept_invitation, link, password, ORIGIN)
    return raised.value


def test_an_invitation_makes_a_new_user_a_member(scene: Scene, accounts: Accounts, address: str) -> None:
    link = invite(scene, f" {address.upper()} ", Role.OWNER)
    found = accounts.do(find_invitation, link)
    assert (found.organization_id, found.organization_name) == (scene.organization_id, "Acme")
    assert (found.email, found.role, found.invited_by) == (address, Role.OWNER, scene.owner.username)
    session = scene.signed_in(scene.owner)
    (listed,) = accounts.do(list_invitations, session)
    assert (listed.email, listed.role, listed.expired) == (address, Role.OWNER, False)
    assert abs(listed.expiry - listed.created - timedelta(days=7)) < timedelta(seconds=1)
    for password, reason in (("short", "too short"), (address, "e-mail address"), ("a" * 2000, "bytes")):
        error = accept_error(accounts, link, password)
        assert isinstance(error, InvalidValue)
        assert (error.field, reason in error.public) == ("password", True)
    member = accounts.do(accept_invitation, link, NEW, ORIGIN)
    assert (member.email, member.role) == (address, Role.OWNER)
    accounts.log_in(Person(scene.organization_id, address, NEW))
    assert accounts.do(list_invitations, session) == ()
    with pytest.raises(InvalidValue, match="has been used"):
        accounts.do(find_invitation, link)
    assert "has been used" in accept_error(accounts, link).public


def test_an_account_joins_with_its_own_password_only_and_keeps_it(scene: Scene, accounts: Accounts) -> None:
    email = scene.stranger.username
    link = invite(scene, email)
    error = accept_error(accounts, link, NEW)
    assert isinstance(error, CredentialsRejected)
    assert not accounts.sql(
        "SELECT 1 FROM membership WHERE organization_id = :id AND user_id = :user",
        id=scene.organization_id,
        user=scene.user_id(scene.stranger),
    )
    assert accounts.do(accept_invitation, link, PASSWORD, ORIGIN).role is Role.MEMBER
    memory = Memory(accounts)
    try:
        assert memory.accepts(scene.strangers)
    finally:
        memory.close()
    for organization_id in (scene.organization_id, scene.stranger.organization_id):
        accounts.log_in(Person(organization_id, email))
        with pytest.raises(CredentialsRejected):
            accounts.log_in(Person(organization_id, email, NEW))


@pytest.mark.parametrize("password", ["short", "correcthorsebatterystaple", "", "x" * 2000])
def test_an_owner_learns_from_an_invitation_of_theirs_not_who_has_an_account(
    password: str, scene: Scene, accounts: Accounts, address: str
) -> None:
    """What may be no password is answered alike for an address that has one, after the same hash."""
    known, unknown = invite(scene, scene.stranger.username), invite(scene, address)
    shown = [accounts.do(find_invitation, link) for link in (known, unknown)]
    assert [field for field in FIELDS if getattr(shown[0], field) != getattr(shown[1], field)] == [
        "email",
        "expiry",
    ]
    told = []
    for link in (known, unknown):
        hashed = accounts.services.passwords.hashed
        error = accept_error(accounts, link, password)
        told.append((type(error), error.public, accounts.services.passwords.hashed - hashed))
    before = last_event(accounts)
    accounts.do(flush_refusals)
    # Counted in one row: they have all in common that is recorded.
    events = [(event.kind, event.email, event.detail, event.count) for event in recorded(accounts, before)]
    refused = ("login_refused", None, {"reason": "no such member"}, 2)
    assert events == ([] if len(password) > 1024 else [refused])
    assert told[0] == told[1]
    assert told[0][2] == (0 if len(password) > 1024 else 1)


def test_a_disabled_user_accepts_no_invitation(scene: Scene, accounts: Accounts) -> None:
    second = accounts.add_person_to(scene.stranger.organization_id, Role.OWNER)
    link = invite(scene, second.username)
    accounts.do(disable_user, second.username)
    assert isinstance(accept_error(accounts, link, PASSWORD), InvalidValue | CredentialsRejected)


def test_guesses_at_an_accounts_password_through_invitations_are_throttled(database: Database) -> None:
    accounts = Accounts(database.url, failed_logins_per_account="3 per 1h")
    try:
        owner, stranger = accounts.add_person(), accounts.add_person()
        session = signed_in(accounts, owner)

        def link() -> str:
            issued = accounts.do(invite_member, session, stranger.username, Role.MEMBER, ORIGIN)
            return str(issued.secret.reveal())

        accounts.services.refusals.take()
        # Another invitation begins no new count.
        errors = [accept_error(accounts, link(), f"wrong password {number}") for number in range(5)]
        assert [type(error) for error in errors] == 3 * [CredentialsRejected] + 2 * [Throttled]
        assert isinstance(accept_error(accounts, link(), PASSWORD), Throttled)
        before = last_event(accounts)
        accounts.do(flush_refusals)
        counted = {event.kind: event.count for event in recorded(accounts, before)}
        assert counted == {"login_refused": 3, "throttled": 3}
        # The account in its own organization is another count.
        accounts.log_in(stranger)
    finally:
        accounts.close()


def test_who_accepts_has_used_up_no_attempt_and_is_known_from_then_on(database: Database) -> None:
    accounts = Accounts(database.url, failed_logins_per_account="2 per 1h")
    try:
        owner = accounts.add_person()
        session = signed_in(accounts, owner)
        email = f"ann-{owner.username}"
        issued = accounts.do(invite_member, session, email, Role.MEMBER, ORIGIN)
        accept_error(accounts, issued.secret.reveal(), "short")
        accounts.do(accept_invitation, issued.secret.reveal(), NEW, ORIGIN)
        known = accounts.sql(
            "SELECT address FROM known_address WHERE organization_id = :id AND address = :address",
            id=owner.organization_id,
            address=ORIGIN.address,
        )
        assert len(known) == 1
        with pytest.raises(CredentialsRejected):
            accounts.log_in(Person(owner.organization_id, email, "wrong"), address="198.51.100.1")
    finally:
        accounts.close()


def test_a_second_invitation_replaces_the_first_and_no_other_organizations(
    scene: Scene, accounts: Accounts, address: str
) -> None:
    first = invite(scene, address)
    theirs = accounts.do(
        invite_member, scene.signed_in(scene.stranger), address, Role.MEMBER, ORIGIN
    ).secret.reveal()
    second = invite(scene, address, Role.OWNER)
    assert "newer one has replaced it" in accept_error(accounts, first).public
    assert accounts.do(find_invitation, theirs).organization_id == scene.stranger.organization_id
    assert accounts.do(accept_invitation, second, NEW, ORIGIN).role is Role.OWNER
    assert accounts.do(accept_invitation, theirs, NEW, ORIGIN).role is Role.MEMBER


def test_a_withdrawn_invitation_works_no_more(scene: Scene, accounts: Accounts, address: str) -> None:
    link = invite(scene, address)
    session = scene.signed_in(scene.owner)
    (listed,) = accounts.do(list_invitations, session)
    assert accounts.do(withdraw_invitation, session, listed.id, ORIGIN).email == address
    assert "withdrawn" in accept_error(accounts, link).public
    for wrong in (listed.id, "000000000000", "a\x00", "", "é" * 500):
        with pytest.raises(NotFound):
            accounts.do(withdraw_invitation, session, InvitationId(wrong), ORIGIN)


def test_an_expired_invitation_says_so_until_it_is_pruned(
    scene: Scene, accounts: Accounts, address: str
) -> None:
    link = invite(scene, address)
    session = scene.signed_in(scene.owner)

    def expire(days: float) -> None:
        accounts.sql(f"UPDATE invitation SET expiry = {ago(accounts, days)} WHERE email = :a", a=address)

    expire(6.9)
    accounts.do(prune_expired)
    assert "has expired" in accept_error(accounts, link).public
    assert [invitation.expired for invitation in accounts.do(list_invitations, session)] == [True]
    expire(7.1)
    accounts.do(prune_expired)
    assert accounts.do(list_invitations, session) == ()
    assert "has been used" in accept_error(accounts, link).public


@pytest.mark.parametrize("meanwhile", ["expired", "withdrawn", "closed", "user added", "password changed"])
def test_what_changes_while_the_password_is_hashed_counts(
    meanwhile: str, scene: Scene, accounts: Accounts, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = meanwhile == "password changed"
    email = scene.stranger.username if known else address
    link = invite(scene, email)
    matches = accounts.services.passwords.matches

    async def change_meanwhile(*arguments: Any) -> bool:
        matching = await matches(*arguments)
        monkeypatch.undo()
        if meanwhile == "user added":
            await add_user(accounts.services, email, PASSWORD, None, Role.MEMBER)
        elif meanwhile == "password changed":
            await set_password(accounts.services, email, NEW)
        elif meanwhile == "closed":
            await close_organization(accounts.services, scene.organization_id)
        else:
            from sqlalchemy import text

            statement = f"UPDATE invitation SET expiry = {accounts.an_hour_ago} WHERE email = '{email}'"
            if meanwhile == "withdrawn":
                statement = f"DELETE FROM invitation WHERE email = '{email}'"
            async with accounts.engines.writing.begin() as connection:
                await connection.execute(text(statement))
        return matching

    monkeypatch.setattr(accounts.services.passwords, "matches", change_meanwhile)
    error = accept_error(accounts, link, PASSWORD if known else NEW)
    assert isinstance(
        error, CredentialsRejected if meanwhile in ("user added", "password changed") else InvalidValue
    )
    assert not accounts.sql(
        'SELECT 1 FROM membership JOIN "user" ON "user".id = user_id '
        "WHERE organization_id = :id AND email = :email",
        id=scene.organization_id,
        email=email,
    )


@pytest.mark.parametrize("known", [False, True])
def test_of_two_who_accept_at_once_one_succeeds(
    known: bool, scene: Scene, accounts: Accounts, others: Accounts
) -> None:
    for number in range(4):
        email = f"{number}{known}-{scene.owner.username}".lower()
        if known:
            accounts.do(add_user, email, PASSWORD, None, Role.MEMBER)
        link = invite(scene, email)
        passwords = [PASSWORD, PASSWORD if known else NEW]
        outcomes = at_once(
            partial(accounts.do, accept_invitation, link, passwords[0], ORIGIN),
            partial(others.do, accept_invitation, link, passwords[1], ORIGIN),
        )
        refused = [isinstance(outcome, Refused) for outcome in outcomes]
        assert sorted(refused) == [False, True]
        winner = passwords[refused.index(False)]
        accounts.log_in(Person(scene.organization_id, email, winner))
        assert len(accounts.sql('SELECT 1 FROM "user" WHERE email = :email', email=email)) == 1
        accounts.services.refusals.take()


def test_nobody_is_invited_who_is_a_member(scene: Scene, accounts: Accounts) -> None:
    session = scene.signed_in(scene.owner)
    for person in (scene.owner, scene.member):
        with pytest.raises(AlreadyExists):
            accounts.do(invite_member, session, person.username.upper(), Role.MEMBER, ORIGIN)
    # A user of another organization is invited as anybody is.
    accounts.do(invite_member, session, scene.stranger.username, Role.MEMBER, ORIGIN)
    for wrong in ("", "x", "a@b c", "a\x00@b", "x" * 260 + "@b"):
        with pytest.raises(InvalidValue) as raised:
            accounts.do(invite_member, session, wrong, Role.MEMBER, ORIGIN)
        assert raised.value.field == "email"


def test_who_became_a_member_otherwise_is_told_so(scene: Scene, accounts: Accounts) -> None:
    link = invite(scene, scene.stranger.username)
    accounts.do(add_member, scene.organization_id, scene.stranger.username, Role.OWNER)
    error = accept_error(accounts, link, PASSWORD)
    assert (error.code, "already" in error.public) == ("invalid_value", True)
    (member,) = accounts.sql(
        "SELECT role FROM membership WHERE organization_id = :id AND user_id = :user",
        id=scene.organization_id,
        user=scene.user_id(scene.stranger),
    )
    assert member[0] == "owner"


def test_an_organization_has_a_hundred_invitations_at_most(scene: Scene, accounts: Accounts) -> None:
    session = scene.signed_in(scene.owner)
    for number in range(PENDING_MAX):
        accounts.do(invite_member, session, f"{number}@example.com", Role.MEMBER, ORIGIN)
    with pytest.raises(InvitationLimitReached):
        accounts.do(invite_member, session, "one-more@example.com", Role.MEMBER, ORIGIN)
    accounts.do(invite_member, session, "7@example.com", Role.OWNER, ORIGIN)
    listed = accounts.do(list_invitations, session)
    assert len(listed) == PENDING_MAX
    assert [invitation.role for invitation in listed if invitation.email == "7@example.com"] == [Role.OWNER]
    accounts.do(invite_member, scene.signed_in(scene.stranger), "one-more@example.com", Role.MEMBER, ORIGIN)


def test_an_invitation_is_in_no_repr_and_is_no_password(
    scene: Scene, accounts: Accounts, address: str
) -> None:
    session = scene.signed_in(scene.owner)
    issued = accounts.do(invite_member, session, address, Role.MEMBER, ORIGIN)
    link = issued.secret.reveal()
    assert link[4:] not in repr(issued)
    assert not any(link in row or link[4:20] in row for table in stored(accounts) for row in table)
    error = accept_error(accounts, link, link)
    assert isinstance(error, InvalidValue)
    assert "cannot be the password" in error.public
    for wrong in (link[:-1], "", link + "x", "nlp_" + link[4:], "é"):
        assert "incomplete" in accept_error(accounts, wrong).public
