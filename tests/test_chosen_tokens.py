"""Tokens are chosen and ended together, and made, in the console."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from nightlatch.model.errors import (
    InvalidValue,
    Throttled,
    TokenLimitReached,
)
from nightlatch.model.names import Email, LimitPolicy, Role, TokenId
from nightlatch.model.rate import Rate
from nightlatch.model.records import TokenChoice
from nightlatch.model.session import Session
from nightlatch.store.tokens import list_chosen_tokens
from nightlatch.usecases import create_token as create_token_module
from nightlatch.usecases.choose_tokens import choose_tokens, end_chosen_tokens
from nightlatch.usecases.create_token import create_token
from nightlatch.usecases.update_organization import (
    OrganizationChange,
    update_organization,
)
from tests.accounts import Accounts
from tests.console_people import ORIGIN, Scene, ago, at_once, ids, last_event, new_scene, recorded, token_id
from tests.memory import Memory

pytestmark = pytest.mark.every_release


@pytest.fixture
def scene(accounts: Accounts) -> Scene:
    accounts.services.refusals.take()
    return new_scene(accounts)


def test_an_owner_chooses_among_the_organizations_tokens_and_a_member_among_their_own(
    scene: Scene, accounts: Accounts
) -> None:
    every = frozenset(map(token_id, (scene.owners, scene.members, scene.strangers)))
    email = Email(scene.member.username)
    for person, of_all, of_member in (
        (scene.owner, {scene.owners, scene.members}, {scene.members}),
        (scene.member, {scene.members}, {scene.members}),
        (scene.stranger, {scene.strangers}, set()),
    ):
        session = scene.signed_in(person)

        def found(session: Session = session, **choice: Any) -> set[str]:
            return set(ids(accounts.do(choose_tokens, session, TokenChoice(**choice))))

        assert found() == set(map(token_id, of_all))
        assert found(ids=every) == set(map(token_id, of_all))
        assert found(ids=frozenset()) == set()
        assert found(email=email) == set(map(token_id, of_member))
        assert found(email=email, ids=frozenset({token_id(scene.owners)})) == set()
        assert found(email=Email("a\x00b")) == set()


def test_idle_is_what_was_not_used_for_so_long_nor_made_in_that_time(
    scene: Scene, accounts: Accounts
) -> None:
    session = scene.signed_in(scene.owner)
    never_used, used_lately, used_long_ago = (accounts.log_in(scene.owner) for _ in range(3))
    for token in (never_used, used_lately, used_long_ago):
        accounts.sql(f"UPDATE token SET created = {ago(accounts, 40)} WHERE id = :id", id=token_id(token))
    for token, days in ((used_lately, 13.5), (used_long_ago, 14.5)):
        accounts.sql(
            f"INSERT INTO token_use (token_id, used, address) VALUES (:id, {ago(accounts, days)}, '')",
            id=token_id(token),
        )

    def idle(days: int) -> set[str]:
        return set(ids(accounts.do(choose_tokens, session, TokenChoice(idle_days=days))))

    assert idle(14) == {token_id(never_used), token_id(used_long_ago)}
    assert idle(13) == {token_id(never_used), token_id(used_lately), token_id(used_long_ago)}
    assert idle(39) == {token_id(never_used)}
    assert idle(41) == set()
    for wrong in (0, -1, 3651):
        with pytest.raises(InvalidValue) as raised:
            idle(wrong)
        assert raised.value.field == "idle_days"


def test_chosen_tokens_end_everywhere_before_the_receipt(scene: Scene, accounts: Accounts) -> None:
    memory = Memory(accounts)
    try:
        more = [accounts.log_in(scene.owner, f"token {number}") for number in range(3)]
        expired = accounts.log_in(scene.owner)
        accounts.expire(expired)
        tokens = [*more, scene.members]
        assert all(memory.accepts(token) for token in (*tokens, scene.owners))
        session = scene.signed_in(scene.owner)
        asked = [token_id(token) for token in (*tokens, scene.strangers, expired)]
        receipt = accounts.do(end_chosen_tokens, session, [*asked, asked[0]], ORIGIN)
        assert not any(memory.accepts(token) for token in tokens)
        assert memory.accepts(scene.owners)
        assert memory.accepts(scene.strangers)
        assert sorted(ids(receipt.ended)) == sorted(map(token_id, tokens))
        assert {record.name for record in receipt.ended} == {"token 0", "token 1", "token 2", ""}
        assert receipt.gone == 2
        assert abs(receipt.at - session.now) < timedelta(minutes=1)
        again = accounts.do(end_chosen_tokens, session, asked, ORIGIN)
        assert (again.ended, again.gone) == ((), 6)
    finally:
        memory.close()


def test_a_member_ends_their_own_tokens_only(scene: Scene, accounts: Accounts) -> None:
    session = scene.signed_in(scene.member)
    asked = [token_id(token) for token in (scene.owners, scene.members, scene.strangers)]
    receipt = accounts.do(end_chosen_tokens, session, asked, ORIGIN)
    assert (ids(receipt.ended), receipt.gone) == ([token_id(scene.members)], 2)
    left = {row[0] for row in accounts.sql("SELECT id FROM token")}
    assert {token_id(scene.owners), token_id(scene.strangers)} <= left


def test_two_owners_who_end_the_same_tokens_at_once_both_get_a_true_receipt(
    scene: Scene, accounts: Accounts, others: Accounts
) -> None:
    second = accounts.add_person_to(scene.owner.organization_id, Role.OWNER)
    sessions = [scene.signed_in(scene.owner), scene.signed_in(second)]
    for _ in range(5):
        asked = [token_id(accounts.log_in(scene.owner)) for _ in range(3)]
        before = last_event(accounts)
        receipts = at_once(
            partial(accounts.do, end_chosen_tokens, sessions[0], asked, ORIGIN),
            partial(others.do, end_chosen_tokens, sessions[1], asked, ORIGIN),
        )
        ended = [token for receipt in receipts for token in ids(receipt.ended)]
        assert sorted(ended) == sorted(asked)
        assert sorted(receipt.gone for receipt in receipts) == [0, 3]
        # Who found them gone has made no event.
        assert [event.kind for event in recorded(accounts, before)] == ["tokens_revoked"]
        assert not accounts.sql("SELECT 1 FROM token WHERE id = :id", id=asked[0])


def test_what_a_logout_ends_meanwhile_is_in_no_receipt(scene: Scene, accounts: Accounts) -> None:
    """A logout holds none of the session's locks: the deletion decides, not what was listed before it."""
    from nightlatch.usecases import choose_tokens as module

    session = scene.signed_in(scene.owner)
    asked = [token_id(scene.owners), token_id(scene.members)]
    listed = list_chosen_tokens

    async def list_and_lose(connection: Any, *arguments: Any) -> Any:
        from sqlalchemy import text

        found = await listed(connection, *arguments)
        await connection.execute(text(f"DELETE FROM token WHERE id = '{asked[0]}'"))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "list_chosen_tokens", list_and_lose)
        receipt = accounts.do(end_chosen_tokens, session, asked, ORIGIN)
    assert (ids(receipt.ended), receipt.gone) == ([asked[1]], 1)


@pytest.mark.parametrize("wrong", ["", "x", "000000000000\x00", "00000000000é"])
def test_what_is_no_tokens_id_is_said_to_be_none(wrong: str, scene: Scene, accounts: Accounts) -> None:
    session = scene.signed_in(scene.owner)
    for call in (
        lambda: accounts.do(end_chosen_tokens, session, [TokenId(wrong)], ORIGIN),
        lambda: accounts.do(choose_tokens, session, TokenChoice(ids=frozenset({TokenId(wrong)}))),
    ):
        with pytest.raises(InvalidValue) as raised:
            call()
        assert raised.value.field == "id"


def test_thousands_of_ids_can_be_chosen(scene: Scene, accounts: Accounts) -> None:
    session = scene.signed_in(scene.owner)
    asked = [TokenId(f"{number:012}") for number in range(9_999)]
    receipt = accounts.do(end_chosen_tokens, session, [*asked, token_id(scene.members)], ORIGIN)
    assert (ids(receipt.ended), receipt.gone) == ([token_id(scene.members)], 9_999)
    with pytest.raises(InvalidValue):
        accounts.do(end_chosen_tokens, session, [*asked, TokenId("a" * 12), TokenId("b" * 12)], ORIGIN)


def test_a_created_token_is_accepted_and_listed_by_its_name(scene: Scene, accounts: Accounts) -> None:
    memory = Memory(accounts)
    try:
        session = scene.signed_in(scene.member)
        issued = accounts.do(create_token, session, "  nightly backup ", 3600, ORIGIN)
        assert memory.accepts(issued.token.reveal())
        (record,) = accounts.do(choose_tokens, session, TokenChoice(ids=frozenset({issued.token.id})))
        assert (record.name, record.email, record.user_agent) == ("nightly backup", scene.member.username, "")
        assert issued.expiry == record.expiry
        assert record.expiry is not None
        assert abs(record.expiry - record.created - timedelta(hours=1)) < timedelta(seconds=1)
        of_organization = accounts.do(create_token, session, "", None, ORIGIN)
        assert of_organization.expiry is not None
        assert timedelta(days=29) < of_organization.expiry - record.created < timedelta(days=31)
    finally:
        memory.close()


@pytest.mark.parametrize(
    ("name", "time_to_live", "field"),
    [
        ("x" * 101, None, "name"),
        ("a\nb", None, "name"),
        ("a\x00", None, "name"),
        ("\u202ea", None, "name"),
        ("", 0, "time_to_live"),
        ("", 30 * 24 * 3600 + 1, "time_to_live"),
    ],
)
def test_a_token_that_may_not_be_is_not_made(
    name: str, time_to_live: int | None, field: str, scene: Scene, accounts: Accounts
) -> None:
    session = scene.signed_in(scene.owner)
    with pytest.raises(InvalidValue) as raised:
        accounts.do(create_token, session, name, time_to_live, ORIGIN)
    assert raised.value.field == field
    assert accounts.live_tokens(scene.organization_id) == 2


def test_at_the_limit_creating_is_refused_or_makes_place_as_a_login_does(
    scene: Scene, accounts: Accounts
) -> None:
    memory = Memory(accounts)
    try:
        session = scene.signed_in(scene.owner)
        accounts.do(update_organization, scene.organization_id, OrganizationChange(token_limit=2))
        with pytest.raises(TokenLimitReached):
            accounts.do(create_token, session, "", None, ORIGIN)
        replacing = OrganizationChange(limit_policy=LimitPolicy.REPLACE_OLDEST)
        accounts.do(update_organization, scene.organization_id, replacing)
        assert memory.accepts(scene.owners)
        issued = accounts.do(create_token, session, "", None, ORIGIN)
        assert [token.id for token in issued.replaced] == [token_id(scene.owners)]
        assert not memory.accepts(scene.owners)
        assert memory.accepts(issued.token.reveal())
        assert accounts.live_tokens(scene.organization_id) == 2
    finally:
        memory.close()


def test_however_many_create_at_once_the_limit_holds(
    scene: Scene, accounts: Accounts, others: Accounts
) -> None:
    sessions = [scene.signed_in(person) for person in (scene.owner, scene.member)]
    accounts.do(update_organization, scene.organization_id, OrganizationChange(token_limit=5))
    outcomes = at_once(
        *(
            partial(process.do, create_token, session, "", None, ORIGIN)
            for process in (accounts, others)
            for session in sessions
            for _ in range(4)
        )
    )
    assert sum(isinstance(outcome, TokenLimitReached) for outcome in outcomes) == 13
    assert accounts.live_tokens(scene.organization_id) == 5


def test_a_session_creates_tokens_at_a_limited_rate(
    scene: Scene, accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(create_token_module, "CREATED", Rate(2, 3600))
    session = scene.signed_in(scene.owner)
    for _ in range(2):
        accounts.do(create_token, session, "", None, ORIGIN)
    with pytest.raises(Throttled):
        accounts.do(create_token, session, "", None, ORIGIN)
    # Each user for themselves.
    accounts.do(create_token, scene.signed_in(scene.member), "", None, ORIGIN)
    assert accounts.live_tokens(scene.organization_id) == 5
