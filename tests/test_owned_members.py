"""An owner changes roles, removes members and makes links to set a password."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from nightlatch.model.errors import (
    Forbidden,
    InvalidValue,
    LastOwner,
    NotFound,
    Refused,
    SessionEnded,
)
from nightlatch.model.names import OrganizationId, Role, UserId
from nightlatch.model.records import TokenChoice
from nightlatch.usecases.accept_invitation import accept_invitation
from nightlatch.usecases.add_member import add_member
from nightlatch.usecases.add_user import add_user
from nightlatch.usecases.change_role import change_role, change_role_as_owner
from nightlatch.usecases.choose_tokens import choose_tokens, end_chosen_tokens
from nightlatch.usecases.close_organization import close_organization
from nightlatch.usecases.disable_user import disable_user
from nightlatch.usecases.find_session import find_session
from nightlatch.usecases.invite_member import invite_member
from nightlatch.usecases.issue_password_link import issue_password_link, issue_password_link_as_owner
from nightlatch.usecases.list_members import list_members
from nightlatch.usecases.remove_member import remove_member_as_owner
from nightlatch.usecases.sign_in import sign_in
from nightlatch.usecases.use_password_link import use_password_link
from tests.accounts import PASSWORD, Accounts, Person
from tests.console_people import NEW, ORIGIN, Scene, at_once, ids, new_scene, signed_in, stored, token_id
from tests.memory import Memory

pytestmark = pytest.mark.every_release


@pytest.fixture
def scene(accounts: Accounts) -> Scene:
    accounts.services.refusals.take()
    return new_scene(accounts)


def test_an_owner_changes_a_role_and_it_is_in_force_everywhere(scene: Scene, accounts: Accounts) -> None:
    session = scene.signed_in(scene.owner)
    theirs = scene.signed_in(scene.member)
    changed = accounts.do(change_role_as_owner, session, scene.user_id(scene.member), Role.OWNER, ORIGIN)
    assert changed.role is Role.OWNER
    assert len(accounts.do(choose_tokens, scene.signed_in(scene.member), TokenChoice())) == 2
    # The session that was read before acts with the role of now.
    receipt = accounts.do(end_chosen_tokens, theirs, [token_id(scene.owners)], ORIGIN)
    assert ids(receipt.ended) == [token_id(scene.owners)]


def test_a_removed_member_has_no_tokens_and_no_session_any_more(scene: Scene, accounts: Accounts) -> None:
    memory = Memory(accounts)
    try:
        secret = accounts.do(sign_in, scene.member.credentials, ORIGIN).reveal()
        elsewhere = accounts.join(scene.member, scene.stranger.organization_id)
        kept = accounts.log_in(elsewhere)
        assert memory.accepts(scene.members)
        session = scene.signed_in(scene.owner)
        ended = accounts.do(remove_member_as_owner, session, scene.user_id(scene.member), ORIGIN)
        assert ids(ended) == [token_id(scene.members)]
        assert not memory.accepts(scene.members)
        assert memory.accepts(kept)
        with pytest.raises(SessionEnded):
            accounts.do(find_session, secret)
        with pytest.raises(NotFound):
            accounts.do(remove_member_as_owner, session, scene.user_id(scene.member), ORIGIN)
    finally:
        memory.close()


def test_the_last_owner_stays(scene: Scene, accounts: Accounts) -> None:
    session, own = scene.signed_in(scene.owner), scene.user_id(scene.owner)
    before = stored(accounts)
    for call in (
        lambda: accounts.do(change_role_as_owner, session, own, Role.MEMBER, ORIGIN),
        lambda: accounts.do(remove_member_as_owner, session, own, ORIGIN),
    ):
        with pytest.raises(LastOwner) as raised:
            call()
        assert "nightlatch" not in raised.value.public
    assert stored(accounts) == before


def test_an_owner_beside_another_gives_up_the_role_or_leaves(scene: Scene, accounts: Accounts) -> None:
    accounts.do(change_role, scene.organization_id, scene.member.username, Role.OWNER)
    session = scene.signed_in(scene.owner)
    accounts.do(change_role_as_owner, session, scene.user_id(scene.owner), Role.MEMBER, ORIGIN)
    with pytest.raises(Forbidden):
        accounts.do(change_role_as_owner, session, scene.user_id(scene.owner), Role.OWNER, ORIGIN)
    leaving = scene.signed_in(scene.member)
    accounts.do(change_role, scene.organization_id, scene.owner.username, Role.OWNER)
    accounts.do(remove_member_as_owner, leaving, scene.user_id(scene.member), ORIGIN)
    assert [m.email for m in accounts.do(list_members, session)] == [scene.owner.username]


@pytest.mark.parametrize("use_case", [change_role_as_owner, remove_member_as_owner])
def test_of_two_owners_who_put_each_other_out_at_once_one_stays(
    use_case: Callable[..., Any], accounts: Accounts, others: Accounts
) -> None:
    for _ in range(5):
        first = accounts.add_person()
        second = accounts.add_person_to(first.organization_id, Role.OWNER)
        sessions = [signed_in(accounts, person) for person in (first, second)]

        arguments: tuple[Any, ...] = (ORIGIN,)
        if use_case is change_role_as_owner:
            arguments = (Role.MEMBER, ORIGIN)
        first_id, second_id = (session.identity.user_id for session in sessions)
        outcomes = at_once(
            partial(accounts.do, use_case, sessions[0], second_id, *arguments),
            partial(others.do, use_case, sessions[1], first_id, *arguments),
        )
        assert sum(isinstance(outcome, Refused) for outcome in outcomes) == 1
        owners = accounts.sql(
            "SELECT 1 FROM membership WHERE organization_id = :id AND role = 'owner'",
            id=first.organization_id,
        )
        assert len(owners) == 1


@pytest.mark.parametrize("number", [0, -1, 2**63, 2**200])
def test_a_number_that_is_no_users_is_not_found(number: int, scene: Scene, accounts: Accounts) -> None:
    session = scene.signed_in(scene.owner)
    with pytest.raises(NotFound):
        accounts.do(remove_member_as_owner, session, UserId(number), ORIGIN)


# Links to set a password


def test_an_owner_makes_a_link_that_sets_a_members_password(scene: Scene, accounts: Accounts) -> None:
    session = scene.signed_in(scene.owner)
    issued = accounts.do(issue_password_link_as_owner, session, scene.user_id(scene.member), ORIGIN)
    assert issued.email == scene.member.username
    assert timedelta(hours=23) < issued.expiry - session.now < timedelta(hours=25)
    accounts.do(use_password_link, issued.secret.reveal(), NEW, ORIGIN)
    accounts.log_in(Person(scene.organization_id, scene.member.username, NEW))


def test_an_owner_makes_no_link_for_who_belongs_elsewhere_too(scene: Scene, accounts: Accounts) -> None:
    accounts.join(scene.member, scene.stranger.organization_id)
    session = scene.signed_in(scene.owner)
    with pytest.raises(Refused, match="Only the operator") as raised:
        accounts.do(issue_password_link_as_owner, session, scene.user_id(scene.member), ORIGIN)
    assert not isinstance(raised.value, NotFound)
    assert not accounts.sql("SELECT 1 FROM password_link WHERE user_id = :id", id=scene.user_id(scene.member))
    # An organization that was closed for good is none.
    accounts.do(close_organization, OrganizationId(scene.stranger.organization_id))
    accounts.do(issue_password_link_as_owner, session, scene.user_id(scene.member), ORIGIN)


def test_an_owner_makes_no_link_for_themself_or_a_disabled_user(scene: Scene, accounts: Accounts) -> None:
    session = scene.signed_in(scene.owner)
    with pytest.raises(Refused, match="under Account"):
        accounts.do(issue_password_link_as_owner, session, scene.user_id(scene.owner), ORIGIN)
    accounts.do(disable_user, scene.member.username)
    with pytest.raises(Refused, match="disabled"):
        accounts.do(issue_password_link_as_owner, session, scene.user_id(scene.member), ORIGIN)


@pytest.mark.parametrize("how", ["invited", "added by the operator"])
def test_a_link_that_an_owner_has_ends_when_its_user_joins_another_organization(
    how: str, scene: Scene, accounts: Accounts
) -> None:
    """Else that owner could act for the user in what is not theirs."""
    session = scene.signed_in(scene.owner)
    issued = accounts.do(issue_password_link_as_owner, session, scene.user_id(scene.member), ORIGIN)
    if how == "invited":
        theirs = scene.signed_in(scene.stranger)
        link = accounts.do(invite_member, theirs, scene.member.username, Role.MEMBER, ORIGIN)
        accounts.do(accept_invitation, link.secret.reveal(), PASSWORD, ORIGIN)
    else:
        accounts.do(
            add_member, OrganizationId(scene.stranger.organization_id), scene.member.username, Role.MEMBER
        )
    with pytest.raises(InvalidValue, match="has been used"):
        accounts.do(use_password_link, issued.secret.reveal(), NEW, ORIGIN)
    accounts.log_in(Person(scene.stranger.organization_id, scene.member.username))


def test_an_operators_link_for_a_user_of_no_organization_outlives_the_first_membership(
    accounts: Accounts,
) -> None:
    person = accounts.add_person()
    email = f"new-{person.username}"
    accounts.do(add_user, email, PASSWORD, None, Role.MEMBER)
    issued = accounts.do(issue_password_link, email, 3600)
    accounts.do(add_member, OrganizationId(person.organization_id), email, Role.MEMBER)
    accounts.do(use_password_link, issued.secret.reveal(), NEW, ORIGIN)
