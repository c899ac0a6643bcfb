"""What a login at the limit does: be refused, or make place by ending a token, on every process at once."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256

import pytest

from nightlatch.model.errors import CredentialsRejected, TokenLimitReached
from nightlatch.model.names import LimitPolicy, OrganizationId
from nightlatch.model.origin import Origin
from nightlatch.store.connection import Connection
from nightlatch.usecases.disable_user import disable_user
from nightlatch.usecases.flush_uses import flush_uses
from nightlatch.usecases.log_in import Login, log_in
from nightlatch.usecases.update_organization import OrganizationChange, update_organization
from tests.accounts import Accounts, Person
from tests.conftest import Database
from tests.crowd import exchange_at_once, login_request
from tests.memory import Memory
from tests.serving import Serving
from tests.sockets import exchange, with_token

pytestmark = pytest.mark.every_release

OLDEST = LimitPolicy.REPLACE_OLDEST
LEAST_RECENTLY_USED = LimitPolicy.REPLACE_LEAST_RECENTLY_USED
REPLACING = (OLDEST, LEAST_RECENTLY_USED)


def person_with(accounts: Accounts, policy: LimitPolicy, token_limit: int = 3) -> Person:
    person = accounts.add_person(token_limit=token_limit)
    change = OrganizationChange(limit_policy=policy)
    accounts.do(update_organization, OrganizationId(person.organization_id), change)
    return person


def token_id(token: str) -> str:
    return token[4:16]


def live_ids(accounts: Accounts, person: Person) -> set[str]:
    rows = accounts.sql("SELECT id FROM token WHERE organization_id = :id", id=person.organization_id)
    return {row[0] for row in rows}


@pytest.fixture
def memory(accounts: Accounts) -> Iterator[Memory]:
    made = Memory(accounts)
    yield made
    made.close()


def test_replace_oldest_ends_the_token_that_was_made_first(accounts: Accounts) -> None:
    person = person_with(accounts, OLDEST)
    tokens = [accounts.log_in(person) for _ in range(4)]
    assert live_ids(accounts, person) == {token_id(token) for token in tokens[1:]}


def test_replace_least_recently_used_goes_by_use_and_else_by_creation(accounts: Accounts) -> None:
    person = person_with(accounts, LEAST_RECENTLY_USED)
    first, _, third = (accounts.log_in(person) for _ in range(3))
    now = datetime.now(UTC).timestamp()
    accounts.services.uses.note(_digest(first), now + 60, "192.0.2.1")
    accounts.services.uses.note(_digest(third), now + 30, "192.0.2.1")
    accounts.do(flush_uses)
    fourth = accounts.log_in(person)
    assert live_ids(accounts, person) == {token_id(token) for token in (first, third, fourth)}
    fifth = accounts.log_in(person)  # the fourth was never used, but made before the uses that are noted
    assert live_ids(accounts, person) == {token_id(token) for token in (first, third, fifth)}


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()


@pytest.mark.parametrize("policy", REPLACING)
def test_a_place_that_is_free_is_taken_before_any_token_is_ended(
    accounts: Accounts, policy: LimitPolicy
) -> None:
    person = person_with(accounts, policy)
    expired = accounts.log_in(person)
    kept = [accounts.log_in(person) for _ in range(2)]
    accounts.expire(expired)
    issued = accounts.do(log_in, Login(person.credentials, "", None, Origin()))
    assert issued.replaced == ()
    assert {token_id(token) for token in kept} < live_ids(accounts, person)


@pytest.mark.parametrize("policy", REPLACING)
def test_after_the_limit_was_lowered_a_login_leaves_as_many_as_it_allows(
    accounts: Accounts, policy: LimitPolicy
) -> None:
    person = person_with(accounts, policy, token_limit=5)
    for _ in range(5):
        accounts.log_in(person)
    organization_id = OrganizationId(person.organization_id)
    accounts.do(update_organization, organization_id, OrganizationChange(token_limit=2))
    issued = accounts.do(log_in, Login(person.credentials, "", None, Origin()))
    assert len(issued.replaced) == 4
    assert accounts.live_tokens(person.organization_id) == 2


@pytest.mark.parametrize("policy", REPLACING)
def test_a_limit_of_none_at_all_is_not_got_around(accounts: Accounts, policy: LimitPolicy) -> None:
    person = person_with(accounts, policy, token_limit=0)
    with pytest.raises(TokenLimitReached):
        accounts.log_in(person)


@pytest.mark.parametrize("policy", REPLACING)
def test_another_organizations_tokens_are_never_ended(accounts: Accounts, policy: LimitPolicy) -> None:
    person = person_with(accounts, policy, token_limit=1)
    elsewhere = accounts.join(person, person_with(accounts, policy, token_limit=1).organization_id)
    kept = accounts.log_in(elsewhere)
    for _ in range(3):
        accounts.log_in(person)
    assert live_ids(accounts, elsewhere) == {token_id(kept)}


def before_the_replacing_transaction(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch, change: Callable[[], Awaitable[object]]
) -> None:
    """Have the change made when the login has met the limit, and begins to make place."""
    store = accounts.services.store
    write = store.write
    begun = 0

    @asynccontextmanager
    async def counted() -> AsyncIterator[Connection]:
        nonlocal begun
        begun += 1
        if begun == 2:
            await change()
        async with write() as connection:
            yield connection

    monkeypatch.setattr(store, "write", counted)


def test_a_login_that_is_shut_out_while_it_makes_place_ends_nothing(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = person_with(accounts, OLDEST, token_limit=1)
    kept = accounts.log_in(owner)
    person = accounts.add_person_to(owner.organization_id)
    disable = partial(disable_user, accounts.services, person.username)
    before_the_replacing_transaction(accounts, monkeypatch, disable)
    with pytest.raises(CredentialsRejected):
        accounts.log_in(person)
    assert live_ids(accounts, owner) == {token_id(kept)}


def test_a_policy_taken_back_while_a_login_is_under_way_ends_nothing(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = person_with(accounts, OLDEST, token_limit=1)
    kept = accounts.log_in(person)
    refuse = OrganizationChange(limit_policy=LimitPolicy.REFUSE)
    take_back = partial(
        update_organization, accounts.services, OrganizationId(person.organization_id), refuse
    )
    before_the_replacing_transaction(accounts, monkeypatch, take_back)
    with pytest.raises(TokenLimitReached):
        accounts.log_in(person)
    assert live_ids(accounts, person) == {token_id(kept)}


def test_a_replaced_token_is_refused_everywhere_when_the_login_answers(
    accounts: Accounts, memory: Memory
) -> None:
    person = person_with(accounts, OLDEST, token_limit=1)
    current = accounts.log_in(person)
    for _ in range(10):
        assert memory.accepts(current)
        following = accounts.log_in(person)
        assert not memory.accepts(current)
        current = following


@pytest.mark.slow
@pytest.mark.parametrize("policy", REPLACING)
def test_of_many_logins_at_once_all_succeed_and_the_limit_is_what_is_left(
    accounts: Accounts, database: Database, tmp_path_factory: pytest.TempPathFactory, policy: LimitPolicy
) -> None:
    serving = Serving(database.url, tmp_path_factory.mktemp("server") / "log", workers=4).wait_ready()
    try:
        person = person_with(accounts, policy, token_limit=5)
        replies = exchange_at_once(serving.port, [login_request(person.login_body)] * 40)
        assert [reply and reply.status for reply in replies] == [200] * 40
        assert accounts.live_tokens(person.organization_id) == 5
        live = live_ids(accounts, person)
        for reply in replies:
            assert reply is not None
            token = reply.json["token"]
            answer = exchange(serving.port, "GET", "/api/auth/verify/", with_token(token))
            assert answer.status == (200 if token_id(token) in live else 401)
    finally:
        serving.stop()
    assert '"replaced"' in serving.log.read_text()
