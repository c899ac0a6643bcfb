"""Rates that guesses have used up are remembered, and nobody who has become known is refused for that."""

import asyncio
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from nightlatch.guard.used_up import (
    ANNOUNCED_SECONDS,
    KEYS_MAX,
    OFTEN,
    REMEMBERED_SECONDS,
    REST_SECONDS,
    UsedUp,
)
from nightlatch.model.attempt import announcement_key
from nightlatch.model.errors import Throttled
from nightlatch.model.names import OrganizationId, Role
from nightlatch.model.origin import Origin
from nightlatch.store.throttles import count
from nightlatch.usecases.accept_invitation import accept_invitation
from nightlatch.usecases.change_own_password import change_own_password
from nightlatch.usecases.identify import identify
from nightlatch.usecases.invite_member import invite_member
from nightlatch.usecases.log_in import log_in
from nightlatch.usecases.remove_member import remove_member
from nightlatch.usecases.sign_in import confirm_password, sign_in
from tests.accounts import PASSWORD, Accounts, Person
from tests.conftest import Database
from tests.console_people import signed_in
from tests.test_throttle import attempt, guess, login, make_earlier, new_address, nothing_counted, pass_time

pytestmark = pytest.mark.every_release

BURST, ADDRESS_BURST = 3, 8
RATES = {
    "failed_logins_per_account": f"{BURST} per 1h",
    "failed_logins_per_address": f"{ADDRESS_BURST} per 1h",
}


class Watch:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def read(self) -> float:
        return self.seconds


@pytest.fixture
def watch(throttled: Accounts) -> Iterator[Watch]:
    """The clock of what is remembered."""
    used_up = throttled.services.used_up
    now, watch = used_up.now, Watch()
    used_up.now = watch.read
    yield watch
    used_up.now = now


@pytest.fixture(scope="module")
def throttled(database: Database) -> Iterator[Accounts]:
    """Use cases that let through few failures, on the database under test."""
    accounts = Accounts(database.url, **RATES)
    yield accounts
    accounts.close()


def forget_counts(accounts: Accounts) -> None:
    """From then on the database refuses nobody: what is refused is refused from memory."""
    accounts.sql("DELETE FROM throttle")


def wait_read(accounts: Accounts) -> None:
    """Until nothing is being read to be remembered."""

    async def read() -> None:
        while accounts.services.used_up.reading:
            await asyncio.sleep(0)

    accounts.run(read())


def guess_often(accounts: Accounts, person: Person, refusals: int = OFTEN) -> None:
    """From ever new addresses, until so many were refused."""
    while refusals:
        refusals -= guess(accounts, person, new_address()) is not None
    wait_read(accounts)


def guess_often_from(accounts: Accounts, address: str, refusals: int = OFTEN) -> None:
    """At ever new accounts, until so many were refused."""
    while refusals:
        nobody = Person("zzzzzz", f"{secrets.token_hex(4)}@example.com")
        refusals -= guess(accounts, nobody, address) is not None
    wait_read(accounts)


def use_up(accounts: Accounts, key: bytes) -> None:
    """Count as many attempts against an account as may be, but hash none."""

    async def counted() -> None:
        for _ in range(BURST):
            async with accounts.services.store.write() as connection:
                await count(connection, key, accounts.services.throttle.account)

    accounts.run(counted())


@pytest.mark.parametrize("known", [True, False])
def test_an_account_that_is_refused_often_is_refused_from_memory_for_a_moment(
    throttled: Accounts, watch: Watch, known: bool
) -> None:
    person = throttled.add_person()
    if not known:
        person = Person(person.organization_id, f"{secrets.token_hex(4)}@example.com")
    guess_often(throttled, person)
    before = guess(throttled, person, new_address())
    forget_counts(throttled)
    refused = guess(throttled, person, new_address())
    assert before is not None
    assert refused is not None
    assert (refused.retry_after, refused.detail) == (before.retry_after, before.detail)
    watch.seconds += REMEMBERED_SECONDS
    assert guess(throttled, person, new_address()) is None


def test_an_address_that_is_refused_often_is_refused_from_memory_for_a_moment(
    throttled: Accounts, watch: Watch
) -> None:
    person, address = throttled.add_person(), new_address()
    guess_often_from(throttled, address)
    forget_counts(throttled)
    assert guess(throttled, person, address) is not None
    assert guess(throttled, person, new_address()) is None
    watch.seconds += REMEMBERED_SECONDS
    assert guess(throttled, person, address) is None


def test_what_is_refused_seldom_is_not_remembered(throttled: Accounts, watch: Watch) -> None:
    person = throttled.add_person()
    guess_often(throttled, person, OFTEN - 1)
    watch.seconds += 1
    guess_often(throttled, person, OFTEN - 1)
    forget_counts(throttled)
    assert guess(throttled, person, new_address()) is None


def test_a_remembered_rate_lets_through_when_its_time_has_come(throttled: Accounts, watch: Watch) -> None:
    person = throttled.add_person()
    guess_often(throttled, person, OFTEN - 1)
    seconds = REMEMBERED_SECONDS / 2
    throttle = throttled.services.throttle
    make_earlier(throttled, attempt(person, "").account, throttle.account.interval - seconds)
    assert guess(throttled, person, new_address()) is not None
    forget_counts(throttled)
    assert guess(throttled, person, new_address()) is not None
    watch.seconds += seconds
    assert guess(throttled, person, new_address()) is None


def test_the_owner_gets_in_from_a_known_address_while_others_are_refused_from_memory(
    throttled: Accounts, watch: Watch
) -> None:
    owner, home = throttled.add_person(), new_address()
    throttled.do(log_in, login(owner, home))
    guess_often(throttled, owner)
    throttled.do(log_in, login(owner, home))
    guess_often_from(throttled, home)
    throttled.do(log_in, login(owner, home))
    with pytest.raises(Throttled):
        throttled.do(log_in, login(owner, new_address()))


def announcement(accounts: Accounts, person: Person) -> Any:
    key = announcement_key(attempt(person, "").account)
    rows = accounts.sql("SELECT free_at FROM throttle WHERE key = :key", key=key)
    return rows[0][0] if rows else None


def test_an_announcement_is_made_again_before_it_ends(throttled: Accounts, watch: Watch) -> None:
    person = throttled.add_person()
    guess_often(throttled, person)
    first = announcement(throttled, person)
    watch.seconds += REMEMBERED_SECONDS
    guess_often(throttled, person, 1)
    assert announcement(throttled, person) == first
    pass_time(throttled, announcement_key(attempt(person, "").account), ANNOUNCED_SECONDS - 0.1)
    guess_often(throttled, person)
    assert announcement(throttled, person) >= first


def test_an_announcement_that_was_deleted_is_made_again_before_anything_is_remembered(
    throttled: Accounts, watch: Watch
) -> None:
    person = throttled.add_person()
    guess_often(throttled, person)
    forget_counts(throttled)
    watch.seconds += REMEMBERED_SECONDS
    use_up(throttled, attempt(person, "").account)
    assert throttled.services.used_up.wait_seconds(attempt(person, new_address())) == 0
    guess_often(throttled, person, 1)
    assert throttled.services.used_up.wait_seconds(attempt(person, new_address())) > 0
    assert announcement(throttled, person) is not None


def test_nothing_is_remembered_for_longer_than_it_is_announced() -> None:
    watch = Watch()
    used_up = UsedUp(watch.read)
    asked = attempt(Person("abcdef", "a@example.com"), "192.0.2.1")
    used_up.remember(asked.account, watch.seconds, REMEMBERED_SECONDS / 2, 1000, frozenset())
    assert used_up.wait_seconds(asked) == 1000
    watch.seconds += REMEMBERED_SECONDS / 2
    assert used_up.wait_seconds(asked) == 0


def test_of_refusals_at_once_one_reads(throttled: Accounts) -> None:
    person, most = throttled.add_person(), 0

    async def guesses_at_once() -> None:
        nonlocal most
        guesses = [
            asyncio.create_task(log_in(throttled.services, login(person, new_address(), "wrong")))
            for _ in range(10 * OFTEN)
        ]
        while not all(task.done() for task in guesses):
            most = max(most, throttled.services.used_up.reading)
            await asyncio.sleep(0)
        await asyncio.gather(*guesses, return_exceptions=True)

    throttled.run(guesses_at_once())
    wait_read(throttled)
    assert most == 1
    assert throttled.services.used_up.wait_seconds(attempt(person, new_address())) > 0


def test_more_than_so_many_rates_are_not_remembered() -> None:
    watch = Watch()
    used_up = UsedUp(watch.read)
    people = [attempt(Person("abcdef", f"{number}@example.com"), "") for number in range(KEYS_MAX + 1)]
    for each in people:
        used_up.remember(each.account, watch.seconds, 30, 1000, frozenset())
    assert sum(used_up.wait_seconds(each) > 0 for each in people) <= KEYS_MAX
    assert used_up.wait_seconds(people[-1]) > 0


def test_who_is_refused_is_refused_also_where_nothing_can_be_announced(
    throttled: Accounts, watch: Watch
) -> None:
    person = throttled.add_person()
    guess_often(throttled, person, OFTEN - 1)
    with nothing_counted(throttled):
        guess_often(throttled, person)
        assert throttled.services.used_up.wait_seconds(attempt(person, new_address())) == 0
    guess_often(throttled, person)
    assert throttled.services.used_up.wait_seconds(attempt(person, new_address())) == 0
    watch.seconds += REST_SECONDS
    guess_often(throttled, person)
    assert throttled.services.used_up.wait_seconds(attempt(person, new_address())) > 0


Let = Callable[[], object]


def _logging_in(accounts: Accounts, person: Person, address: str) -> Let:
    return lambda: accounts.do(log_in, login(person, address))


def _identifying(accounts: Accounts, person: Person, address: str) -> Let:
    return lambda: accounts.do(identify, login(person, address).credentials, Origin(address))


def _signing_in(accounts: Accounts, person: Person, address: str) -> Let:
    return lambda: accounts.do(sign_in, login(person, address).credentials, Origin(address))


def _confirming_the_password(accounts: Accounts, person: Person, address: str) -> Let:
    session = signed_in(accounts, person)
    return lambda: accounts.do(confirm_password, session, PASSWORD, Origin(address))


def _changing_the_password(accounts: Accounts, person: Person, address: str) -> Let:
    session = signed_in(accounts, person)
    new = "another horse battery"
    return lambda: accounts.do(change_own_password, session, PASSWORD, new, Origin(address))


def _accepting_an_invitation(accounts: Accounts, person: Person, address: str) -> Let:
    owner = accounts.add_person_to(person.organization_id, Role.OWNER)
    session = signed_in(accounts, owner)
    accounts.do(remove_member, OrganizationId(person.organization_id), person.username)
    issued = accounts.do(invite_member, session, person.username, Role.MEMBER, Origin(""))
    return lambda: accounts.do(accept_invitation, issued.secret.reveal(), PASSWORD, Origin(address))


@pytest.mark.slow
@pytest.mark.parametrize(
    "make_letting_in",
    [
        _logging_in,
        _identifying,
        _signing_in,
        _confirming_the_password,
        _changing_the_password,
        _accepting_an_invitation,
    ],
)
def test_whoever_was_let_in_at_a_new_address_is_refused_there_by_no_process(
    database: Database, throttled: Accounts, make_letting_in: Callable[[Accounts, Person, str], Let]
) -> None:
    # A hash that takes some tenths of a second, in which others use up the rate.
    slowly = Accounts(database.url, **RATES, password_hash_memory_kib=65536, password_hash_time_cost=8)
    try:
        person, address = slowly.add_person(), new_address()
        let_in = make_letting_in(slowly, person, address)
        counted = attempt(person, address).address
        with ThreadPoolExecutor() as pool:
            letting_in = pool.submit(let_in)
            while not throttled.sql("SELECT 1 FROM throttle WHERE key = :key", key=counted):
                assert not letting_in.done()
            use_up(throttled, attempt(person, address).account)
            while not letting_in.done():
                guess(throttled, person, new_address())
        letting_in.result()
        assert announcement(throttled, person) is not None
        assert guess(throttled, person, address) is None
    finally:
        slowly.close()


def test_whoever_finds_an_address_known_just_now_is_refused_there_by_no_process_either(
    database: Database, throttled: Accounts
) -> None:
    person, address, other = throttled.add_person(), new_address(), Accounts(database.url, **RATES)
    sqlite = throttled.engines.sqlite_file is not None
    now = "CAST(strftime('%s', 'now') AS INTEGER) * 1000000" if sqlite else "now()"
    try:
        guess_often(throttled, person)
        # As by a login that has been committed and has not been answered yet.
        throttled.sql(
            "INSERT INTO known_address (organization_id, user_id, address, used) "
            f"SELECT organization_id, user_id, :address, {now} FROM membership WHERE organization_id = :id",
            id=person.organization_id,
            address=address,
        )
        assert guess(throttled, person, address) is not None
        other.do(log_in, login(person, address))
        assert guess(throttled, person, address) is None
    finally:
        other.close()
