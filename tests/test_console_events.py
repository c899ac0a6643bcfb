"""What is done in the console is in the audit log, once, with who did it and from where."""

from collections.abc import Callable
from typing import Any

import pytest

from nightlatch.model.names import LimitPolicy, Role
from nightlatch.usecases.accept_invitation import accept_invitation
from nightlatch.usecases.change_own_password import change_own_password
from nightlatch.usecases.change_role import change_role_as_owner
from nightlatch.usecases.choose_tokens import end_chosen_tokens
from nightlatch.usecases.create_token import create_token
from nightlatch.usecases.invite_member import invite_member, withdraw_invitation
from nightlatch.usecases.issue_password_link import issue_password_link_as_owner
from nightlatch.usecases.list_members import list_invitations
from nightlatch.usecases.remove_member import remove_member_as_owner
from nightlatch.usecases.update_organization import (
    OrganizationChange,
    update_organization_as_owner,
)
from tests.accounts import PASSWORD, Accounts
from tests.console_people import NEW, ORIGIN, Scene, last_event, new_scene, recorded, token_id


@pytest.fixture
def scene(accounts: Accounts) -> Scene:
    accounts.services.refusals.take()
    return new_scene(accounts)


def test_each_of_it_leaves_its_event_with_who_did_it_and_from_where(scene: Scene, accounts: Accounts) -> None:
    address = f"ann-{scene.owner.username}"
    session = scene.signed_in(scene.owner)
    member_id = scene.user_id(scene.member)
    more = [token_id(accounts.log_in(scene.member)) for _ in range(2)]
    mixed = [token_id(accounts.log_in(person)) for person in (scene.owner, scene.member)]
    links: list[str] = []
    created: list[str] = []

    def invited(email: str) -> None:
        links.append(accounts.do(invite_member, session, email, Role.MEMBER, ORIGIN).secret.reveal())

    def withdraw() -> None:
        (pending,) = accounts.do(list_invitations, session)
        accounts.do(withdraw_invitation, session, pending.id, ORIGIN)

    by_owner = {"actor": "user", "actor_email": scene.owner.username, "actor_token_id": None}
    here = {"organization_id": scene.organization_id}
    of_member = {"email": scene.member.username, **here}
    steps: list[tuple[Callable[[], Any], list[dict[str, Any]]]] = [
        (
            lambda: accounts.do(end_chosen_tokens, session, [token_id(scene.members)], ORIGIN),
            [
                {
                    "kind": "token_revoked",
                    "token_id": token_id(scene.members),
                    "detail": {"by": "owner"},
                    **of_member,
                }
            ],
        ),
        (
            lambda: accounts.do(end_chosen_tokens, session, more, ORIGIN),
            [
                {
                    "kind": "tokens_revoked",
                    "token_id": None,
                    **of_member,
                    "detail": {"by": "owner", "ended_tokens": sorted(more)},
                }
            ],
        ),
        (
            lambda: accounts.do(end_chosen_tokens, session, mixed, ORIGIN),
            [
                {
                    "kind": "tokens_revoked",
                    "email": None,
                    **here,
                    "detail": {"by": "owner", "ended_tokens": sorted(mixed)},
                }
            ],
        ),
        (
            lambda: created.append(accounts.do(create_token, session, "x", None, ORIGIN).token.id),
            [{"kind": "token_created", "email": scene.owner.username, "detail": {}, **here}],
        ),
        (
            lambda: accounts.do(change_role_as_owner, session, member_id, Role.OWNER, ORIGIN),
            [
                {
                    "kind": "member_changed",
                    "detail": {"role": {"before": "member", "after": "owner"}},
                    **of_member,
                }
            ],
        ),
        (lambda: accounts.do(change_role_as_owner, session, member_id, Role.OWNER, ORIGIN), []),
        (
            lambda: accounts.do(issue_password_link_as_owner, session, member_id, ORIGIN),
            [{"kind": "password_link_issued", "detail": {}, **of_member}],
        ),
        (
            lambda: accounts.do(remove_member_as_owner, session, member_id, ORIGIN),
            [{"kind": "member_removed", "detail": {"role": "owner", "ended_tokens": []}, **of_member}],
        ),
        (
            lambda: invited(address),
            [{"kind": "member_invited", "email": address, "detail": {"role": "member"}, **here}],
        ),
        (
            withdraw,
            [{"kind": "invitation_withdrawn", "email": address, "detail": {"role": "member"}, **here}],
        ),
        (
            lambda: accounts.do(
                update_organization_as_owner, session, OrganizationChange(name="New"), ORIGIN
            ),
            [
                {
                    "kind": "organization_changed",
                    "detail": {"name": {"before": "Acme", "after": "New"}},
                    **here,
                }
            ],
        ),
        (
            lambda: accounts.do(
                update_organization_as_owner, session, OrganizationChange(name="New"), ORIGIN
            ),
            [],
        ),
        (
            lambda: accounts.do(
                update_organization_as_owner,
                session,
                OrganizationChange(limit_policy=LimitPolicy.REPLACE_OLDEST),
                ORIGIN,
            ),
            [{"kind": "limit_changed", **here}],
        ),
    ]
    for step, expected in steps:
        before = last_event(accounts)
        step()
        events = recorded(accounts, before)
        assert len(events) == len(expected)
        for event, fields in zip(events, expected, strict=True):
            told = {name: getattr(event, name) for name in (*fields, *by_owner)}
            assert told == {**by_owner, **fields}
            assert (event.address, event.user_agent, event.request_id) == (
                ORIGIN.address,
                ORIGIN.user_agent,
                ORIGIN.request_id,
            )

    # Accepted, by somebody new and by somebody who was there: owners see no difference.
    seen = []
    for email, password in ((address, NEW), (scene.stranger.username, PASSWORD)):
        invited(email)
        before = last_event(accounts)
        accounts.do(accept_invitation, links[-1], password, ORIGIN)
        events = recorded(accounts, before)
        of_owners = [event for event in events if event.organization_id == scene.organization_id]
        seen.append([(event.kind, event.actor, event.detail, event.count) for event in of_owners])
        assert {event.actor_email for event in events} == {email} == {event.email for event in events}
        rest = [event.kind for event in events if event.organization_id is None]
        assert rest == (["user_added"] if email == address else [])
    detail = {"role": "member", "invited_by": scene.owner.username}
    assert seen[0] == seen[1] == [("member_added", "user", detail, 1)]

    before = last_event(accounts)
    accounts.do(change_own_password, session, PASSWORD, NEW, ORIGIN)
    (event,) = recorded(accounts, before)
    assert (event.kind, event.organization_id, event.actor_email) == (
        "password_changed",
        None,
        scene.owner.username,
    )
    assert set(event.detail["ended_tokens"]) == {token_id(scene.owners), *created}
