"""What is done in the console is done in a live session, by whoever may do it, in their organization."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from nightlatch.model.errors import (
    Forbidden,
    NotFound,
    SessionEnded,
)
from nightlatch.model.invitation import InvitationId, IssuedInvitation
from nightlatch.model.names import Role, UserId
from nightlatch.model.session import Session
from nightlatch.usecases.change_own_password import change_own_password
from nightlatch.usecases.change_role import change_role, change_role_as_owner
from nightlatch.usecases.choose_tokens import end_chosen_tokens
from nightlatch.usecases.close_organization import close_organization
from nightlatch.usecases.create_token import create_token
from nightlatch.usecases.disable_user import disable_user
from nightlatch.usecases.invite_member import invite_member, withdraw_invitation
from nightlatch.usecases.issue_password_link import issue_password_link_as_owner
from nightlatch.usecases.list_members import list_invitations, list_members
from nightlatch.usecases.remove_member import remove_member, remove_member_as_owner
from nightlatch.usecases.set_password import set_password
from nightlatch.usecases.sign_out import sign_out
from nightlatch.usecases.update_organization import (
    OrganizationChange,
    update_organization_as_owner,
)
from tests.accounts import PASSWORD, Accounts
from tests.console_people import (
    NEW,
    ORIGIN,
    Scene,
    at_once,
    last_event,
    new_scene,
    recorded,
    stored,
    token_id,
)

pytestmark = pytest.mark.every_release


@pytest.fixture
def scene(accounts: Accounts) -> Scene:
    accounts.services.refusals.take()
    return new_scene(accounts)


# Of each use case: who may call it, and the call.
Call = Callable[[Accounts, Scene, Session, IssuedInvitation], Any]
CALLS: dict[str, tuple[Role, Call]] = {
    "end_chosen_tokens": (
        Role.MEMBER,
        lambda a, s, session, _: a.do(
            end_chosen_tokens, session, [token_id(s.owners), token_id(s.members)], ORIGIN
        ),
    ),
    "create_token": (Role.MEMBER, lambda a, s, session, _: a.do(create_token, session, "x", None, ORIGIN)),
    "change_own_password": (
        Role.MEMBER,
        lambda a, s, session, _: a.do(change_own_password, session, PASSWORD, NEW, ORIGIN),
    ),
    "change_role_as_owner": (
        Role.OWNER,
        lambda a, s, session, _: a.do(change_role_as_owner, session, s.user_id(s.member), Role.OWNER, ORIGIN),
    ),
    "remove_member_as_owner": (
        Role.OWNER,
        lambda a, s, session, _: a.do(remove_member_as_owner, session, s.user_id(s.member), ORIGIN),
    ),
    "issue_password_link_as_owner": (
        Role.OWNER,
        lambda a, s, session, _: a.do(issue_password_link_as_owner, session, s.user_id(s.member), ORIGIN),
    ),
    "invite_member": (
        Role.OWNER,
        lambda a, s, session, _: a.do(invite_member, session, "new@example.com", Role.MEMBER, ORIGIN),
    ),
    "withdraw_invitation": (
        Role.OWNER,
        lambda a, s, session, pending: a.do(withdraw_invitation, session, pending.id, ORIGIN),
    ),
    "update_organization_as_owner": (
        Role.OWNER,
        lambda a, s, session, _: a.do(
            update_organization_as_owner, session, OrganizationChange(name="Other"), ORIGIN
        ),
    ),
}
ENDS: dict[str, Callable[[Accounts, Scene, Session], Any]] = {
    "signed out": lambda a, s, session: a.do(sign_out, session, ORIGIN),
    "expired": lambda a, s, session: a.sql(
        f"UPDATE session SET expiry = {a.an_hour_ago} WHERE id = :id", id=session.id
    ),
    "password changed": lambda a, s, session: a.do(set_password, session.identity.email, NEW),
    "disabled": lambda a, s, session: (
        a.do(change_role, s.organization_id, s.member.username, Role.OWNER),
        a.do(disable_user, session.identity.email),
    ),
    "removed": lambda a, s, session: (
        a.do(change_role, s.organization_id, s.member.username, Role.OWNER),
        a.do(remove_member, s.organization_id, session.identity.email),
    ),
    "closed": lambda a, s, session: a.do(close_organization, s.organization_id),
}


@pytest.fixture
def pending(scene: Scene) -> IssuedInvitation:
    session = scene.signed_in(scene.owner)
    return scene.accounts.do(invite_member, session, "ann@example.com", Role.MEMBER, ORIGIN)


@pytest.mark.parametrize("call", CALLS)
def test_nothing_is_done_in_a_session_that_has_ended(
    call: str, scene: Scene, accounts: Accounts, pending: IssuedInvitation
) -> None:
    session = scene.signed_in(scene.owner)
    accounts.do(sign_out, session, ORIGIN)
    before = stored(accounts)
    with pytest.raises(SessionEnded):
        CALLS[call][1](accounts, scene, session, pending)
    assert stored(accounts) == before


@pytest.mark.parametrize("end", ENDS)
def test_whatever_ends_a_session_ends_what_is_begun_in_it(
    end: str, scene: Scene, accounts: Accounts, pending: IssuedInvitation
) -> None:
    session = scene.signed_in(scene.owner)
    ENDS[end](accounts, scene, session)
    before = stored(accounts)
    for name in ("end_chosen_tokens", "create_token", "invite_member"):
        with pytest.raises(SessionEnded):
            CALLS[name][1](accounts, scene, session, pending)
    assert stored(accounts) == before


@pytest.mark.parametrize("call", CALLS)
def test_only_owners_may_do_what_is_for_owners(
    call: str, scene: Scene, accounts: Accounts, pending: IssuedInvitation
) -> None:
    role, act = CALLS[call]
    if role is Role.MEMBER:
        return
    # As the session was read, its user was an owner.
    accounts.do(change_role, scene.organization_id, scene.member.username, Role.OWNER)
    session = scene.signed_in(scene.member)
    accounts.do(change_role, scene.organization_id, scene.member.username, Role.MEMBER)
    before = stored(accounts)
    with pytest.raises(Forbidden):
        act(accounts, scene, session, pending)
    assert stored(accounts) == before


@pytest.mark.parametrize("call", CALLS)
def test_another_organization_finds_nothing(
    call: str, scene: Scene, accounts: Accounts, pending: IssuedInvitation
) -> None:
    """Nothing that belongs to the organization is changed in another one's session."""
    session = scene.signed_in(scene.stranger)

    def own() -> list[Any]:
        rows = [
            accounts.sql(f"SELECT * FROM {table} WHERE {column} = :id", id=scene.organization_id)
            for table, column in (
                ("organization", "id"),
                ("membership", "organization_id"),
                ("token", "organization_id"),
                ("session", "organization_id"),
                ("invitation", "organization_id"),
                ("event", "organization_id"),
            )
        ]
        members = accounts.sql(
            'SELECT * FROM "user" WHERE id IN (SELECT user_id FROM membership WHERE organization_id = :id)',
            id=scene.organization_id,
        )
        return [sorted(map(repr, found)) for found in (*rows, members)]

    before = own()
    try:
        CALLS[call][1](accounts, scene, session, pending)
    except NotFound as error:
        withdrawing = call == "withdraw_invitation"
        use_case: Any = withdraw_invitation if withdrawing else remove_member_as_owner
        never_was: Any = InvitationId("000000000000") if withdrawing else UserId(2**40)
        with pytest.raises(NotFound, match=error.public):
            accounts.do(use_case, session, never_was, ORIGIN)
    assert own() == before


def test_members_see_no_members_and_no_invitations(scene: Scene, accounts: Accounts) -> None:
    session = scene.signed_in(scene.member)
    for use_case in (list_members, list_invitations):
        with pytest.raises(Forbidden):
            accounts.do(use_case, session)


def test_what_is_done_while_somebody_signs_out_is_done_before_it_or_not_at_all(
    scene: Scene, accounts: Accounts, others: Accounts
) -> None:
    for round_number in range(12):
        session = scene.signed_in(scene.owner)
        asked = token_id(accounts.log_in(scene.owner))
        before = last_event(accounts)
        calls = [
            partial(others.do, sign_out, session, ORIGIN),
            partial(accounts.do, end_chosen_tokens, session, [asked], ORIGIN),
        ]
        _, outcome = at_once(*calls) if round_number % 2 else at_once(*calls[::-1])[::-1]
        kinds = [event.kind for event in recorded(accounts, before)]
        alive = accounts.sql("SELECT 1 FROM token WHERE id = :id", id=asked)
        if isinstance(outcome, SessionEnded):
            assert kinds == ["signed_out"]
            assert alive
        else:
            assert kinds == ["token_revoked", "signed_out"]
            assert not alive
        accounts.sql("DELETE FROM token WHERE id = :id", id=asked)
