"""The audit log: each action leaves exactly one event, or did not happen; it is read by whom it is for."""

import asyncio
import base64
import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError

from nightlatch.cli.event_lines import text_line
from nightlatch.model.errors import (
    CredentialsRejected,
    NightlatchError,
    NotFound,
    StoreUnavailable,
    Throttled,
    TokenLimitReached,
    TokenRejected,
)
from nightlatch.model.event import ActorKind, EventFilter, EventKind, EventRecord, Retention
from nightlatch.model.event_lines import csv_header, csv_line, json_line
from nightlatch.model.names import Email, LimitPolicy, OrganizationId, Role, TokenId
from nightlatch.model.origin import Origin
from nightlatch.model.scope import Scope
from nightlatch.model.standing import Caller, Identity
from nightlatch.model.token import PlainToken, parse_token
from nightlatch.store.pruning import may_prune
from nightlatch.usecases.add_member import add_member
from nightlatch.usecases.add_organization import add_organization
from nightlatch.usecases.add_user import add_user, add_user_with_link
from nightlatch.usecases.change_lease import change_lease
from nightlatch.usecases.change_role import change_role
from nightlatch.usecases.close_organization import close_organization
from nightlatch.usecases.disable_user import disable_user, enable_user
from nightlatch.usecases.flush_refusals import flush_refusals
from nightlatch.usecases.flush_uses import flush_uses
from nightlatch.usecases.identify import identify
from nightlatch.usecases.issue_child_token import ChildTokenRequest, issue_child_token
from nightlatch.usecases.issue_password_link import issue_password_link
from nightlatch.usecases.log_in import Login, log_in
from nightlatch.usecases.log_out import log_out, log_out_everywhere
from nightlatch.usecases.prune import prune_events
from nightlatch.usecases.refuse_login import note_refusal
from nightlatch.usecases.remove_member import remove_member
from nightlatch.usecases.revoke_presented import revoke_presented
from nightlatch.usecases.revoke_token import revoke_token
from nightlatch.usecases.revoke_tokens import revoke_all, revoke_one
from nightlatch.usecases.set_password import set_password
from nightlatch.usecases.show_events import follow_events, show_events
from nightlatch.usecases.update_organization import OrganizationChange, update_organization
from nightlatch.usecases.use_password_link import use_password_link
from tests.accounts import PASSWORD, Accounts, Person
from tests.serving import Serving
from tests.sockets import Reply, exchange, with_token

pytestmark = pytest.mark.every_release

ORIGIN = Origin("192.0.2.7", "curl/8", "0123456789abcdef")


@pytest.fixture(autouse=True)
def no_refusals_left(accounts: Accounts) -> None:
    accounts.services.refusals.take()


def recorded(accounts: Accounts, after: int = 0) -> list[EventRecord]:
    """The events that are younger than that one."""
    found: list[EventRecord] = []
    accounts.do(show_events, EventFilter(), 0, found.extend)
    return [event for event in found if event.id > after]


def last_id(accounts: Accounts) -> int:
    return int(accounts.sql("SELECT coalesce(max(id), 0) FROM event")[0][0])


def plain(token: str) -> PlainToken:
    parsed = parse_token(token.encode())
    assert parsed is not None
    return parsed


@dataclass
class Scene:
    """An owner and a member, each with a token; what an action is done to."""

    accounts: Accounts
    owner: Person
    member: Person
    owners: str
    members: str
    link: str = ""
    child: str = ""

    @property
    def organization_id(self) -> OrganizationId:
        return OrganizationId(self.owner.organization_id)

    def caller(self, person: Person, token: str | None = None) -> Caller:
        row = self.accounts.sql('SELECT id FROM "user" WHERE email = :email', email=person.username)
        role = Role.OWNER if person is self.owner else Role.MEMBER
        identity = Identity(self.organization_id, row[0][0], Email(person.username), role)
        return Caller(identity, None if token is None else TokenId(token[4:16]), ORIGIN)

    def stored(self) -> list[Any]:
        """All that actions change, as raw SQL sees it."""
        tables = ["organization", '"user"', "membership", "token", "child_token", "password_link"]
        tables.append("change_counter")
        columns = {"change_counter": "lease_milliseconds, lease_waited_milliseconds"}
        return [
            sorted(map(repr, self.accounts.sql(f"SELECT {columns.get(table, '*')} FROM {table}")))
            for table in tables
        ]


@pytest.fixture
def scene(accounts: Accounts) -> Scene:
    owner = accounts.add_person()
    member = accounts.add_person_to(owner.organization_id)
    return Scene(accounts, owner, member, accounts.log_in(owner), accounts.log_in(member))


def with_policy(scene: Scene) -> None:
    change = OrganizationChange(token_limit=2, limit_policy=LimitPolicy.REPLACE_OLDEST)
    scene.accounts.do(update_organization, scene.organization_id, change)


def issue_link(scene: Scene) -> None:
    issued = scene.accounts.do(issue_password_link, scene.member.username, 3600)
    scene.link = issued.secret.reveal()


def issue_child(scene: Scene) -> None:
    asked = ChildTokenRequest("", Scope(frozenset({"GET"}), ("/a",)), None)
    caller = scene.caller(scene.member, scene.members)
    issued = scene.accounts.do(issue_child_token, caller, TokenId(scene.members[4:16]), asked)
    scene.child = issued.token.reveal()


def elsewhere(scene: Scene) -> Person:
    return scene.accounts.add_person()


# Of each action: what comes before it, the action, the event's kind, and what the event tells.
Action = Callable[[Scene], Any]
ACTIONS: dict[str, tuple[Action, Action, EventKind, Callable[[Scene], dict[str, Any]]]] = {
    "login": (
        lambda _: None,
        lambda s: s.accounts.do(log_in, Login(s.member.credentials, "", None, ORIGIN)),
        EventKind.LOGIN,
        lambda s: {"actor_email": s.member.username, "email": s.member.username, "detail": {}},
    ),
    "login that replaces": (
        with_policy,
        lambda s: s.accounts.do(log_in, Login(s.member.credentials, "", None, ORIGIN)),
        EventKind.LOGIN,
        lambda s: {"detail": {"replaced_tokens": [s.owners[4:16]]}, "email": s.member.username},
    ),
    "logout": (
        lambda _: None,
        lambda s: s.accounts.do(log_out, plain(s.members), ORIGIN),
        EventKind.LOGOUT,
        lambda s: {"actor_token_id": s.members[4:16], "token_id": s.members[4:16], "detail": {}},
    ),
    "logoutall": (
        lambda _: None,
        lambda s: s.accounts.do(log_out_everywhere, plain(s.members), ORIGIN),
        EventKind.LOGOUT_ALL,
        lambda s: {"detail": {"ended_tokens": [s.members[4:16]]}, "email": s.member.username},
    ),
    "revoked by an owner": (
        lambda _: None,
        lambda s: s.accounts.do(revoke_token, s.caller(s.owner, s.owners), TokenId(s.members[4:16])),
        EventKind.TOKEN_REVOKED,
        lambda s: {
            "detail": {"by": "owner"},
            "actor_email": s.owner.username,
            "actor_token_id": s.owners[4:16],
            "email": s.member.username,
            "token_id": s.members[4:16],
        },
    ),
    "revoked by a member with a password": (
        lambda _: None,
        lambda s: s.accounts.do(revoke_token, s.caller(s.member), TokenId(s.members[4:16])),
        EventKind.TOKEN_REVOKED,
        lambda s: {"detail": {"by": "member"}, "actor_email": s.member.username, "actor_token_id": None},
    ),
    "revoked by who presented it": (
        lambda _: None,
        lambda s: s.accounts.do(revoke_presented, s.caller(s.member, s.members), s.owners.encode()),
        EventKind.TOKEN_REVOKED,
        lambda s: {
            "detail": {"by": "presenter"},
            "actor_email": s.member.username,
            "email": s.owner.username,
            "token_id": s.owners[4:16],
        },
    ),
    "child issued": (
        lambda _: None,
        lambda s: issue_child(s),
        EventKind.CHILD_TOKEN_ISSUED,
        lambda s: {
            "detail": {"parent_id": s.members[4:16], "methods": ["GET"], "paths": ["/a"]},
            "actor_token_id": s.members[4:16],
            "email": s.member.username,
            "token_id": s.child[4:16],
        },
    ),
    "child revoked by an owner": (
        lambda s: issue_child(s),
        lambda s: s.accounts.do(revoke_token, s.caller(s.owner, s.owners), TokenId(s.child[4:16])),
        EventKind.CHILD_TOKEN_REVOKED,
        lambda s: {
            "detail": {"by": "owner", "parent_id": s.members[4:16]},
            "email": s.member.username,
            "token_id": s.child[4:16],
        },
    ),
    "child revoked by who presented it": (
        lambda s: issue_child(s),
        lambda s: s.accounts.do(revoke_presented, s.caller(s.owner, s.owners), s.child.encode()),
        EventKind.CHILD_TOKEN_REVOKED,
        lambda s: {
            "detail": {"by": "presenter", "parent_id": s.members[4:16]},
            "email": s.member.username,
            "token_id": s.child[4:16],
        },
    ),
    "token revoke of a child": (
        lambda s: issue_child(s),
        lambda s: s.accounts.do(revoke_one, s.organization_id, TokenId(s.child[4:16])),
        EventKind.CHILD_TOKEN_REVOKED,
        lambda s: {"actor": "operator", "detail": {"parent_id": s.members[4:16]}, "token_id": s.child[4:16]},
    ),
    "organization update --child-token-limit": (
        lambda _: None,
        lambda s: s.accounts.do(
            update_organization, s.organization_id, OrganizationChange(child_token_limit=3)
        ),
        EventKind.LIMIT_CHANGED,
        lambda _: {"detail": {"child_token_limit": {"before": 1000, "after": 3}}},
    ),
    "token revoke": (
        lambda _: None,
        lambda s: s.accounts.do(revoke_one, s.organization_id, TokenId(s.members[4:16])),
        EventKind.TOKEN_REVOKED,
        lambda s: {"actor": "operator", "email": s.member.username, "token_id": s.members[4:16]},
    ),
    "token revoke-all": (
        lambda _: None,
        lambda s: s.accounts.do(revoke_all, s.organization_id, None),
        EventKind.TOKENS_REVOKED,
        lambda s: {"ended": {s.owners[4:16], s.members[4:16]}, "email": None},
    ),
    "token revoke-all --user": (
        lambda _: None,
        lambda s: s.accounts.do(revoke_all, s.organization_id, s.member.username),
        EventKind.TOKENS_REVOKED,
        lambda s: {"detail": {"ended_tokens": [s.members[4:16]]}, "email": s.member.username},
    ),
    "user add": (
        lambda _: None,
        lambda s: s.accounts.do(add_user, f"x{s.member.username}", PASSWORD, None, Role.MEMBER),
        EventKind.USER_ADDED,
        lambda s: {"email": f"x{s.member.username}", "organization_id": None, "detail": {}},
    ),
    "user add --organization": (
        lambda _: None,
        lambda s: s.accounts.do(add_user, f"x{s.member.username}", PASSWORD, s.organization_id, Role.OWNER),
        EventKind.USER_ADDED,
        lambda s: {"email": f"x{s.member.username}", "detail": {"role": "owner"}},
    ),
    "user disable": (
        lambda _: None,
        lambda s: s.accounts.do(disable_user, s.member.username),
        EventKind.USER_DISABLED,
        lambda s: {"organization_id": None, "detail": {"ended_tokens": [s.members[4:16]]}},
    ),
    "user enable": (
        lambda s: s.accounts.do(disable_user, s.member.username),
        lambda s: s.accounts.do(enable_user, s.member.username),
        EventKind.USER_ENABLED,
        lambda s: {"organization_id": None, "email": s.member.username},
    ),
    "user set-password": (
        lambda _: None,
        lambda s: s.accounts.do(set_password, s.member.username, "another long password"),
        EventKind.PASSWORD_CHANGED,
        lambda s: {"organization_id": None, "detail": {"ended_tokens": [s.members[4:16]]}},
    ),
    "user reset-password": (
        lambda _: None,
        lambda s: s.accounts.do(issue_password_link, s.member.username, 3600),
        EventKind.PASSWORD_LINK_ISSUED,
        lambda s: {"organization_id": None, "email": s.member.username, "detail": {}},
    ),
    "user add with a link": (
        lambda _: None,
        lambda s: s.accounts.do(
            add_user_with_link, f"x{s.member.username}", s.organization_id, Role.MEMBER, 3600
        ),
        EventKind.USER_ADDED,
        lambda s: {"email": f"x{s.member.username}", "detail": {"role": "member"}},
    ),
    "password set with a link": (
        issue_link,
        lambda s: s.accounts.do(use_password_link, s.link, "another long password", ORIGIN),
        EventKind.PASSWORD_CHANGED,
        lambda s: {
            "organization_id": None,
            "actor_email": s.member.username,
            "detail": {"ended_tokens": [s.members[4:16]]},
        },
    ),
    "member add": (
        lambda s: s.accounts.do(remove_member, s.organization_id, s.member.username),
        lambda s: s.accounts.do(add_member, s.organization_id, s.member.username, Role.OWNER),
        EventKind.MEMBER_ADDED,
        lambda s: {"email": s.member.username, "detail": {"role": "owner"}},
    ),
    "member update": (
        lambda _: None,
        lambda s: s.accounts.do(change_role, s.organization_id, s.member.username, Role.OWNER),
        EventKind.MEMBER_CHANGED,
        lambda s: {"detail": {"role": {"before": "member", "after": "owner"}}},
    ),
    "member remove": (
        lambda _: None,
        lambda s: s.accounts.do(remove_member, s.organization_id, s.member.username),
        EventKind.MEMBER_REMOVED,
        lambda s: {"detail": {"role": "member", "ended_tokens": [s.members[4:16]]}},
    ),
    "organization add": (
        lambda _: None,
        lambda s: s.accounts.do(add_organization, "Another", f"x{s.organization_id}", 5, None),
        EventKind.ORGANIZATION_ADDED,
        lambda s: {
            "organization_id": f"x{s.organization_id}",
            "detail": {"name": "Another", "token_limit": 5, "limit_policy": "refuse", "time_to_live": None},
        },
    ),
    "organization update": (
        lambda _: None,
        lambda s: s.accounts.do(
            update_organization, s.organization_id, OrganizationChange("Other", time_to_live=60)
        ),
        EventKind.ORGANIZATION_CHANGED,
        lambda _: {
            "detail": {
                "name": {"before": "Acme", "after": "Other"},
                "time_to_live": {"before": 30 * 24 * 3600, "after": 60},
            }
        },
    ),
    "organization update --token-limit": (
        lambda _: None,
        lambda s: s.accounts.do(update_organization, s.organization_id, OrganizationChange(token_limit=3)),
        EventKind.LIMIT_CHANGED,
        lambda _: {"detail": {"token_limit": {"before": 20, "after": 3}}},
    ),
    "organization close": (
        lambda _: None,
        lambda s: s.accounts.do(close_organization, s.organization_id),
        EventKind.ORGANIZATION_CLOSED,
        lambda s: {"ended": {s.owners[4:16], s.members[4:16]}},
    ),
}
BY_USERS = (
    "password set with a link",
    "login",
    "login that replaces",
    "logout",
    "logoutall",
    "revoked by",
    "child",
)


@pytest.mark.parametrize("name", ACTIONS)
def test_each_action_leaves_exactly_one_event_that_tells_of_it(name: str, scene: Scene) -> None:
    prepare, act, kind, told = ACTIONS[name]
    prepare(scene)
    before = last_id(scene.accounts)
    act(scene)
    scene.accounts.do(flush_refusals)
    (event,) = recorded(scene.accounts, before)
    assert (event.kind, event.count) == (kind, 1)
    expected = told(scene)
    if "ended" in expected:
        assert set(event.detail["ended_tokens"]) == expected.pop("ended")
    by_user = name.startswith(BY_USERS)
    expected = {
        "organization_id": scene.organization_id,
        "actor": ActorKind.USER if by_user else ActorKind.OPERATOR,
        "address": ORIGIN.address if by_user else None,
        "user_agent": ORIGIN.user_agent if by_user else None,
        "request_id": ORIGIN.request_id if by_user else None,
    } | expected
    assert {key: getattr(event, key) for key in expected} == expected
    assert abs(event.at - datetime.now(UTC)) < timedelta(minutes=1)


def refuse_events(accounts: Accounts) -> None:
    if accounts.engines.sqlite_file is not None:
        accounts.sql(
            "CREATE TRIGGER test_no_events BEFORE INSERT ON event BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    else:
        accounts.sql("ALTER TABLE event ADD CONSTRAINT test_no_events CHECK (false) NOT VALID")


def admit_events(accounts: Accounts) -> None:
    if accounts.engines.sqlite_file is not None:
        accounts.sql("DROP TRIGGER test_no_events")
    else:
        accounts.sql("ALTER TABLE event DROP CONSTRAINT test_no_events")


@pytest.mark.parametrize("name", ACTIONS)
def test_what_cannot_be_recorded_does_not_happen(name: str, scene: Scene) -> None:
    prepare, act, _, _ = ACTIONS[name]
    prepare(scene)
    before, events = scene.stored(), last_id(scene.accounts)
    refuse_events(scene.accounts)
    try:
        with pytest.raises((StoreUnavailable, IntegrityError, NightlatchError)):
            act(scene)
    finally:
        admit_events(scene.accounts)
    assert scene.stored() == before
    assert recorded(scene.accounts, events) == []


def test_a_lease_that_is_changed_leaves_one_event_and_is_not_changed_without(accounts: Accounts) -> None:
    if accounts.services.store.is_file:
        return  # there is no lease
    before = last_id(accounts)
    accounts.do(change_lease, 300)
    accounts.do(change_lease, 300)
    (raised,) = recorded(accounts, before)
    assert (raised.kind, raised.actor) == (EventKind.LEASE_CHANGED, ActorKind.OPERATOR)
    assert raised.detail == {"milliseconds": {"before": 250, "after": 300}}
    refuse_events(accounts)
    try:
        with pytest.raises((StoreUnavailable, IntegrityError)):
            accounts.do(change_lease, 60)
    finally:
        admit_events(accounts)
    assert tuple(accounts.sql("SELECT lease_milliseconds FROM change_counter")[0]) == (300,)
    accounts.do(change_lease, 250)  # in two steps
    assert [event.kind for event in recorded(accounts, before)] == [EventKind.LEASE_CHANGED] * 2


def test_what_changes_nothing_and_what_is_used_or_refused_is_no_event(scene: Scene) -> None:
    accounts, here = scene.accounts, scene.organization_id
    before = last_id(accounts)
    accounts.do(enable_user, scene.member.username)
    accounts.do(change_role, here, scene.member.username, Role.MEMBER)
    accounts.do(update_organization, here, OrganizationChange(name="Acme", token_limit=20))
    accounts.services.uses.note(plain(scene.members).digest.value, 1.0, "192.0.2.1")
    assert accounts.do(flush_uses) == 1
    accounts.do(identify, scene.member.credentials, ORIGIN)
    with pytest.raises(NotFound):
        accounts.do(revoke_token, scene.caller(scene.member), TokenId(scene.owners[4:16]))
    with pytest.raises(NotFound):
        accounts.do(add_member, here, "nobody@example.com", Role.MEMBER)
    foreign = scene.accounts.log_in(elsewhere(scene))
    grown = last_id(accounts)
    assert accounts.do(revoke_presented, scene.caller(scene.owner), foreign.encode()) is None
    accounts.do(log_out, plain(foreign), ORIGIN)
    for _ in range(2):
        with pytest.raises(TokenRejected):
            accounts.do(log_out, plain(foreign), ORIGIN)
    accounts.do(flush_refusals)
    kinds = [event.kind for event in recorded(accounts, before) if event.id <= grown]
    assert kinds == ["organization_added", "user_added", "login"]
    assert [event.kind for event in recorded(accounts, grown)] == ["logout"]


# Refused logins


def attempt(accounts: Accounts, person: Person, origin: Origin = ORIGIN) -> None:
    with pytest.raises((CredentialsRejected, TokenLimitReached)):
        accounts.do(log_in, Login(person.credentials, "", None, origin))


def test_refused_logins_of_a_member_are_one_row_with_a_count_and_each_reason_another(scene: Scene) -> None:
    accounts, member = scene.accounts, scene.member
    before = last_id(accounts)
    wrong = Person(member.organization_id, f" {member.username.upper()} ", "wrong password")
    for number in range(3):
        attempt(accounts, wrong, Origin("2001:db8:1:2:3::1", "agent", f"request{number}"))
    assert last_id(accounts) == before, "a refusal wrote by itself"
    accounts.do(flush_refusals)
    with pytest.raises(CredentialsRejected):  # HTTP Basic, from the same network
        accounts.do(identify, wrong.credentials, Origin("2001:db8:1:2:ffff::9", "other", "x"))
    accounts.do(flush_refusals)
    events = recorded(accounts, before)
    assert sum(event.count for event in events) == 4
    assert len(events) <= 2  # the minute may have ended in between
    for event in events:
        assert (event.kind, event.detail) == (EventKind.LOGIN_REFUSED, {"reason": "wrong password"})
        assert (event.organization_id, event.email) == (member.organization_id, member.username)
        assert (event.actor, event.actor_email) == (ActorKind.ANONYMOUS, None)
        assert event.address == "2001:db8:1:2::/64"
    assert (events[0].user_agent, events[0].request_id) == ("agent", "request0")
    before = last_id(accounts)
    accounts.do(disable_user, member.username)
    attempt(accounts, member)
    accounts.do(flush_refusals)
    _, disabled = recorded(accounts, before)
    assert disabled.detail == {"reason": "user disabled or organization closed"}


def test_a_reached_limit_is_the_users_who_met_it(scene: Scene) -> None:
    accounts = scene.accounts
    accounts.do(update_organization, scene.organization_id, OrganizationChange(token_limit=1))
    before = last_id(accounts)
    attempt(accounts, scene.member)
    accounts.do(flush_refusals)
    (event,) = recorded(accounts, before)
    assert (event.kind, event.actor) == (EventKind.LIMIT_REACHED, ActorKind.USER)
    assert event.actor_email == event.email == scene.member.username


def test_throttled_attempts_are_counted_like_refused_ones(scene: Scene) -> None:
    before = last_id(scene.accounts)
    throttled = Accounts(scene.accounts.database_url, failed_logins_per_account="2 per 1h")
    try:
        for _ in range(5):
            wrong = Person(scene.organization_id, scene.member.username, "wrong password")
            with pytest.raises((CredentialsRejected, Throttled)):
                throttled.do(log_in, Login(wrong.credentials, "", None, ORIGIN))
        assert throttled.do(flush_refusals) == 5
    finally:
        throttled.close()
    counted = {event.kind: event.count for event in recorded(scene.accounts, before)}
    assert counted == {EventKind.LOGIN_REFUSED: 2, EventKind.THROTTLED: 3}
    assert {event.email for event in recorded(scene.accounts, before)} == {scene.member.username}


CANARY = "kanarienvogel-7391-passwort"


def test_a_name_that_is_nobodys_or_no_members_is_not_stored(scene: Scene) -> None:
    accounts, stranger = scene.accounts, elsewhere(scene)
    before = last_id(accounts)
    for person in (
        Person(scene.organization_id, CANARY),
        Person(scene.organization_id, f"{CANARY}@example.com"),
        Person(scene.organization_id, stranger.username),
        Person(CANARY, CANARY),
        Person("zzzzzz", CANARY + "x" * 5000),
        Person(scene.organization_id, f"{CANARY}\x00"),
    ):
        attempt(accounts, person)
    accounts.do(flush_refusals)
    events = recorded(accounts, before)
    assert sum(event.count for event in events) == 6
    assert all(event.email is None for event in events)
    # By its log an owner does not find out who has an account elsewhere: all these are one row.
    here = [event for event in events if event.organization_id == scene.organization_id]
    assert {event.detail["reason"] for event in here} == {"no such member"}
    assert sum(event.count for event in here) == 4
    assert CANARY not in repr(accounts.sql("SELECT * FROM event"))
    # A user who mistypes the organization is known to the operator, and to no owner.
    before = last_id(accounts)
    attempt(accounts, Person("zzzzzz", scene.member.username))
    accounts.do(flush_refusals)
    (event,) = recorded(accounts, before)
    assert (event.organization_id, event.email) == (None, scene.member.username)


def test_no_refusal_shows_a_name_or_an_organization_in_its_repr(accounts: Accounts) -> None:
    note_refusal(accounts.services, EventKind.THROTTLED, "account", CANARY, "kanarienvogel", ORIGIN)
    counted = accounts.services.refusals.take()
    assert CANARY not in repr(counted)
    assert "kanarienvogel" not in repr(counted)


def test_what_could_not_be_flushed_is_counted_the_next_time(accounts: Accounts) -> None:
    person = accounts.add_person()
    before = last_id(accounts)
    attempt(accounts, Person(person.organization_id, person.username, "wrong"))
    refuse_events(accounts)
    try:
        with pytest.raises((StoreUnavailable, IntegrityError)):
            accounts.do(flush_refusals)
    finally:
        admit_events(accounts)
    attempt(accounts, Person(person.organization_id, person.username, "wrong"))
    assert accounts.do(flush_refusals) == 2
    assert [event.count for event in recorded(accounts, before)] == [2]


def test_processes_that_flush_at_once_count_in_the_same_rows(accounts: Accounts) -> None:
    person = accounts.add_person()
    before = last_id(accounts)
    others = [Accounts(accounts.database_url) for _ in range(3)]
    try:

        async def flush(other: Accounts) -> None:
            await asyncio.wrap_future(
                asyncio.run_coroutine_threadsafe(flush_refusals(other.services), other._loop)
            )

        async def all_at_once() -> None:
            await asyncio.gather(*(flush(other) for other in others))

        for _ in range(10):
            for other in others:
                note_refusal(
                    *(other.services, EventKind.LOGIN_REFUSED, "x", person.username),
                    *(person.organization_id, ORIGIN),
                )
            asyncio.run(all_at_once())
    finally:
        for other in others:
            other.close()
    events = recorded(accounts, before)
    assert sum(event.count for event in events) == 30
    assert len(events) <= len({event.at.replace(second=0, microsecond=0) for event in events})


# Append-only, and kept for a time


def raw(accounts: Accounts, statement: str) -> None:
    with pytest.raises((IntegrityError, DBAPIError)):
        accounts.sql(statement)


def test_raw_sql_rewrites_and_deletes_no_event(accounts: Accounts) -> None:
    accounts.add_person()
    before = [tuple(row) for row in accounts.sql("SELECT * FROM event ORDER BY id")]
    is_file = accounts.engines.sqlite_file is not None
    others = {
        "id": "id + 1000",
        "at": "at + 1" if is_file else "at + interval '1 second'",
        "count": "count - 1",
        "kind": "'server'",
        "actor": "'anonymous'",
        "detail": "'{1}'",
    }
    columns = list(accounts.sql("SELECT * FROM event LIMIT 1")[0]._fields)
    assert others.keys() < set(columns)
    for column in columns:
        value = others.get(column, "NULL")
        with_value = f"UPDATE event SET {column} = {value} WHERE {column} IS NOT NULL"
        if accounts.sql(f"SELECT 1 FROM event WHERE {column} IS NOT NULL LIMIT 1"):
            raw(accounts, with_value)
        if column not in (*others, "user_id", "actor_user_id"):
            raw(accounts, f"UPDATE event SET {column} = 'x'")
    raw(accounts, "DELETE FROM event")
    if not is_file:
        raw(accounts, "TRUNCATE event")
    else:
        raw(accounts, "INSERT OR REPLACE INTO event (id, at, kind, actor) VALUES (1, 0, 'x', 'server')")
    assert [tuple(row) for row in accounts.sql("SELECT * FROM event ORDER BY id")] == before
    accounts.sql("UPDATE event SET count = count + 1 WHERE id = (SELECT max(id) FROM event)")


def days_ago(accounts: Accounts, days: float) -> str:
    if accounts.engines.sqlite_file is not None:
        return f"((CAST(strftime('%s', 'now') AS INTEGER) - {int(days * 86400)}) * 1000000)"
    return f"(now() - interval '{int(days * 86400)} seconds')"


def insert_old(accounts: Accounts, days: float, kind: str = "old", **values: str) -> None:
    names = "".join(f", {name}" for name in values)
    binds = "".join(f", :{name}" for name in values)
    accounts.sql(
        f"INSERT INTO event (at, kind, actor{names}) "
        f"VALUES ({days_ago(accounts, days)}, '{kind}', 'server'{binds})",
        **values,
    )


def test_old_events_lose_address_and_user_agent_and_then_go(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nightlatch.store import events

    monkeypatch.setattr(events, "BATCH_ROWS", 3)
    client = {"address": "192.0.2.1", "user_agent": "agent", "email": "ann@example.com"}
    for _ in range(7):
        for days in (401, 399, 91, 89):
            insert_old(accounts, days, **client)
    before = len(recorded(accounts))
    assert accounts.do(prune_events, Retention(400, 90)) == 7 + 14
    assert accounts.do(prune_events, Retention(400, 90)) == 0
    left = [event for event in recorded(accounts) if event.kind == "old"]
    assert len(recorded(accounts)) == before - 7
    now = datetime.now(UTC)
    for event in left:
        age = (now - event.at).days
        assert age < 400
        erased = (None, None) if age >= 90 else ("192.0.2.1", "agent")
        assert (event.address, event.user_agent) == erased
        assert event.email == "ann@example.com"
    with pytest.raises((IntegrityError, DBAPIError)):
        accounts.sql("UPDATE event SET address = NULL WHERE at > " + days_ago(accounts, 0.9))
    assert accounts.do(prune_events, Retention(1, 1)) >= 14


def test_one_node_prunes_at_a_time(accounts: Accounts) -> None:
    if accounts.services.store.is_file:
        return  # one process writes at a time
    insert_old(accounts, 500)
    store = accounts.services.store

    async def meanwhile() -> int:
        async with store.write() as connection:
            assert await may_prune(connection)
            return await prune_events(accounts.services, Retention(400, 90))

    assert accounts.run(meanwhile()) == 0
    assert accounts.do(prune_events, Retention(400, 90)) == 1


# Reading it


def test_filters_take_what_fits_all_of_them(scene: Scene) -> None:
    accounts = scene.accounts
    insert_old(accounts, 30, "login", organization_id=scene.organization_id, email=scene.member.username)

    def shown(limit: int = 0, **filters: Any) -> list[EventRecord]:
        found: list[EventRecord] = []
        accounts.do(show_events, EventFilter(**filters), limit, found.extend)
        return found

    here: dict[str, Any] = {"organization_id": scene.organization_id}
    everything = shown(**here)
    assert [event.kind for event in everything] == [
        "login",
        *("organization_added", "user_added", "user_added", "login", "login"),
    ]
    assert shown(2, **here) == everything[-2:]
    of_member = {**here, "email": Email(scene.member.username)}
    assert [event.kind for event in shown(**of_member)] == ["login", "user_added", "login"]
    assert [event.kind for event in shown(**of_member, kind=EventKind.LOGIN)] == ["login", "login"]
    week = datetime.now(UTC) - timedelta(days=7)
    assert [event.kind for event in shown(**of_member, since=week)] == ["user_added", "login"]
    assert [event.kind for event in shown(**of_member, until=week)] == ["login"]
    exact = everything[3].at
    assert everything[3] in shown(**here, since=exact)
    assert everything[3] not in shown(**here, until=exact)
    assert shown(organization_id=OrganizationId("zzzzzz")) == []


def test_all_are_read_in_pieces_without_loss(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    from nightlatch.usecases import show_events as showing

    monkeypatch.setattr(showing, "READ_ROWS", 3)
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    value = f"{int(moment.timestamp()) * 1_000_000}" if accounts.engines.sqlite_file else f"'{moment}'"
    for _ in range(10):  # at the same moment
        accounts.sql(f"INSERT INTO event (at, kind, actor) VALUES ({value}, 'same', 'server')")
    found: list[EventRecord] = []
    pieces: list[int] = []

    def receive(events: Any) -> None:
        pieces.append(len(events))
        found.extend(events)

    accounts.do(show_events, EventFilter(), 0, receive)
    assert max(pieces) == 3
    assert len({event.id for event in found}) == len(found)
    assert len(found) == accounts.sql("SELECT count(*) FROM event")[0][0]
    assert sum(event.kind == "same" for event in found) == 10


def test_following_misses_no_event_that_is_committed_late_and_shows_a_count_that_rises(
    accounts: Accounts,
) -> None:
    person = accounts.add_person()
    here = EventFilter(organization_id=OrganizationId(person.organization_id))
    found: list[EventRecord] = []
    store = accounts.services.store

    async def until(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.02)

    async def follow() -> None:
        from nightlatch.model.event import Actor, Event
        from nightlatch.store.events import insert_event

        def new(kind: EventKind) -> Event:
            return Event(kind, Actor(ActorKind.SERVER), here.organization_id, detail={"reason": "x"})

        following = asyncio.create_task(follow_events(accounts.services, here, 1, found.extend))
        await until(lambda: len(found) == 1)
        if store.is_file:
            async with store.write() as late:
                await insert_event(late, new(EventKind.LOGIN))
        else:
            # The first is written first and committed last.
            async with store.write() as late:
                await insert_event(late, new(EventKind.LOGIN))
                async with store.write() as early:
                    await insert_event(early, new(EventKind.LOGOUT))
                await until(lambda: len(found) == 2)
        await until(lambda: any(event.kind == "login" for event in found))
        note_refusal(
            *(accounts.services, EventKind.LOGIN_REFUSED, "x", person.username),
            *(person.organization_id, ORIGIN),
        )
        await flush_refusals(accounts.services)
        await until(lambda: found[-1].kind == "login_refused")
        note_refusal(
            *(accounts.services, EventKind.LOGIN_REFUSED, "x", person.username),
            *(person.organization_id, ORIGIN),
        )
        await flush_refusals(accounts.services)
        await until(lambda: len([event for event in found if event.kind == "login_refused"]) == 2)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)

    accounts.run(follow())
    assert found[0].kind == "user_added"
    assert len(found) == (4 if store.is_file else 5)


HOSTILE = EventRecord(
    id=1,
    at=datetime(2026, 12, 24, 10, tzinfo=UTC),
    kind="organization_changed",
    organization_id=OrganizationId("acme"),
    actor=ActorKind.USER,
    actor_email=Email('=cmd|"/c calc"!A1@example.com'),
    actor_token_id=None,
    email=Email("@sum(1,2)@example.com"),
    token_id=None,
    address="\t=1+1",
    user_agent='\x1b]0;owned\x07-1+1;"x",\r\n=2\u2028\u202e\uff1d3\x7f',
    request_id="+1",
    detail={"name": {"before": "a\x1b[2J", "after": "=1\n2"}},
    count=3,
)


def test_no_format_lets_a_name_speak_to_a_terminal_or_a_spreadsheet() -> None:
    for line in (text_line(HOSTILE), csv_line(HOSTILE), json_line(HOSTILE)):
        assert line.isprintable(), ascii(line)
    (header, cells) = csv.reader(io.StringIO(f"{csv_header()}\r\n{csv_line(HOSTILE)}\r\n"))
    row = dict(zip(header, cells, strict=True))
    for key, cell in row.items():
        assert not cell.strip().startswith(("=", "+", "-", "@", "\uff1d")), key
    assert row["actor_user"] == '\'=cmd|"/c calc"!A1@example.com'
    assert row["count"] == "3"
    assert json.loads(row["detail"]) == HOSTILE.detail
    document = json.loads(json_line(HOSTILE))
    assert document["user_agent"] == HOSTILE.user_agent
    assert document.keys() == row.keys()


# The API


def basic(person: Person) -> list[tuple[str, str]]:
    pair = base64.b64encode(f"{person.username}:{person.password}".encode()).decode()
    return [("Authorization", f"Basic {pair}")]


def kinds(reply: Reply) -> list[str]:
    assert reply.status == 200, reply.body
    return [event["kind"] for event in reply.json["results"]]


EVENTS = "/api/auth/events/"


@pytest.fixture
def shown(scene: Scene, server: Serving) -> Callable[..., Reply]:
    def get(query: str = "", headers: list[tuple[str, str]] | None = None) -> Reply:
        return exchange(server.port, "GET", EVENTS + query, headers or with_token(scene.owners))

    return get


def test_an_owner_sees_the_organizations_events_newest_first_by_token_or_password(
    scene: Scene, server: Serving, shown: Callable[..., Reply]
) -> None:
    # Uses, and requests without a live token, are no events.
    assert exchange(server.port, "GET", "/api/auth/verify/", with_token(scene.members)).status == 200
    for path in ("verify/", "tokens/"):
        assert exchange(server.port, "GET", f"/api/auth/{path}", with_token(scene.owners[:-1])).status == 401
    expected = ["login", "login", "user_added", "user_added", "organization_added"]
    reply = shown()
    assert kinds(reply) == expected
    assert (reply.json["count"], reply.json["next"], reply.json["previous"]) == (5, None, None)
    query = f"?organization_id={scene.organization_id}"
    assert kinds(shown(query, basic(scene.owner))) == expected
    refused = shown("", with_token(scene.members))
    assert (refused.status, refused.json) == (
        403,
        {"detail": "You do not have permission to perform this action."},
    )
    assert shown(query, basic(scene.member)).status == 403
    assert shown("", [("Authorization", "Token x")]).status == 401


def test_events_are_those_of_the_tokens_own_organization_whatever_is_asked(
    scene: Scene, shown: Callable[..., Reply]
) -> None:
    other = elsewhere(scene)
    token = scene.accounts.log_in(other)
    for query in (
        f"?organization_id={other.organization_id}",
        f"?user={other.username}",
        "?kind=login",
        "?since=2000-01-01",
        "?limit=1000&offset=0",
    ):
        for event in shown(query).json["results"]:
            assert event["organization_id"] == scene.organization_id
    assert kinds(shown(f"?user={other.username}")) == []
    assert shown(f"?organization_id={other.organization_id}", basic(scene.owner)).status == 401
    assert kinds(shown("", with_token(token))) == ["login", "user_added", "organization_added"]
    # What concerns a user everywhere is no organization's.
    scene.accounts.do(set_password, other.username, "another long password")
    assert "password_changed" not in kinds(shown())


def test_pages_hold_each_event_once(scene: Scene, shown: Callable[..., Reply]) -> None:
    ids = []
    path = "?limit=2"
    while True:
        reply = shown(path)
        assert reply.json["count"] == 5
        ids += [event["id"] for event in reply.json["results"]]
        if reply.json["next"] is None:
            break
        path = reply.json["next"].partition(EVENTS)[2]
    assert ids == sorted(ids, reverse=True)
    assert len(ids) == 5
    assert kinds(shown("?offset=99999999999999999999")) == []


def test_filters_of_the_query_are_taken_or_refused_never_passed_over(
    scene: Scene, shown: Callable[..., Reply]
) -> None:
    member = scene.member.username
    assert kinds(shown(f"?user={member.upper()}")) == ["login", "user_added"]
    assert kinds(shown(f"?user={member}&kind=login")) == ["login"]
    assert kinds(shown("?kind=&user=&since=&until=&limit=1")) == ["login"]
    now = datetime.now(UTC)
    assert kinds(shown(f"?since={(now + timedelta(hours=1)).isoformat().replace('+', '%2B')}")) == []
    assert len(kinds(shown(f"?since={now.date()}T00:00&until=9999-12-31T23:59:59Z"))) == 5
    wrong = {
        "kind=logins": {"kind": ['"logins" is not a valid choice.']},
        "user=%00": {"user": ["Null characters are not allowed."]},
        f"user={'x' * 255}": {"user": ["Ensure this field has no more than 254 characters."]},
    }
    for query, body in wrong.items():
        reply = shown(f"?{query}")
        assert (reply.status, reply.json) == (400, body)
    for text in ("yesterday", "0001-01-01T00:00:00%2B23:59", "2026-12-24T10:00:00+02:00", "%ff", "9" * 400):
        reply = shown(f"?since={text}&until={text}")
        assert reply.status == 400
        assert reply.json.keys() == {"since", "until"}


def test_an_event_tells_whence_by_address_agent_and_the_request_id_of_its_answer(
    scene: Scene, server: Serving, shown: Callable[..., Reply]
) -> None:
    body = json.dumps(scene.member.login_body).encode()
    headers = [("Content-Type", "application/json"), ("User-Agent", "robot/1.0 \x80")]
    reply = exchange(server.port, "POST", "/api/auth/login/", headers, body)
    token = reply.json["token"]
    ended = exchange(server.port, "DELETE", f"/api/auth/tokens/{token[4:16]}/", with_token(scene.owners))
    revoked, login = shown("?limit=2").json["results"]
    assert login["request_id"] == reply.headers["x-request-id"]
    assert (login["address"], login["user_agent"]) == ("127.0.0.1", "robot/1.0 ?")
    assert (login["actor_token_id"], login["token_id"]) == (None, token[4:16])
    assert revoked["request_id"] == ended.headers["x-request-id"]
    assert (revoked["actor_token_id"], revoked["token_id"]) == (scene.owners[4:16], token[4:16])
    assert revoked["detail"] == {"by": "owner"}


def test_a_server_records_refusals_within_seconds_and_before_it_stops(
    scene: Scene, server: Serving, shown: Callable[..., Reply]
) -> None:
    import time

    wrong = json.dumps({**scene.member.login_body, "password": "wrong"}).encode()
    headers = [("Content-Type", "application/json")]
    for _ in range(3):
        assert exchange(server.port, "POST", "/api/auth/login/", headers, wrong).status == 400
    deadline = time.monotonic() + 10
    while sum(event["count"] for event in shown("?kind=login_refused").json["results"]) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_count_of_many_events_is_bounded_and_their_pages_go_on(
    scene: Scene, shown: Callable[..., Reply]
) -> None:
    scene.accounts.sql(
        "INSERT INTO event (at, kind, actor, organization_id) "
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12000) "
        f"SELECT {days_ago(scene.accounts, 1)}, 'old', 'server', :id FROM n",
        id=scene.organization_id,
    )
    reply = shown("?limit=1000")
    assert reply.json["count"] == 10_000
    assert kinds(shown("?limit=1000&offset=11000"))[-1] == "old"
    assert shown("?limit=1000&offset=11000").json["next"] is not None
    last = shown("?limit=1000&offset=12000").json
    assert (last["count"], last["next"], len(last["results"])) == (12_005, None, 5)
