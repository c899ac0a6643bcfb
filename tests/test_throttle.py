"""Guessing is slow: failed logins are let through at a rate, and strangers' failures lock nobody out."""

import asyncio
import secrets
from collections import Counter
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from nightlatch.guard.throttle import Throttle
from nightlatch.model.attempt import Attempt, client_network
from nightlatch.model.errors import (
    CannotStart,
    CredentialsRejected,
    InvalidValue,
    StoreUnavailable,
    Throttled,
    TokenLimitReached,
)
from nightlatch.model.names import OrganizationId, Role, normalize_email
from nightlatch.model.origin import Origin
from nightlatch.model.rate import Rate, parse_rate
from nightlatch.settings import load_settings
from nightlatch.store.known_addresses import ADDRESSES_MAX
from nightlatch.store.throttles import count
from nightlatch.usecases.disable_user import disable_user
from nightlatch.usecases.identify import identify
from nightlatch.usecases.log_in import Login, log_in
from nightlatch.usecases.prune import prune_throttle
from tests.accounts import Accounts, Person
from tests.conftest import Database

pytestmark = pytest.mark.every_release

BURST, ADDRESS_BURST = 3, 8
HOUR = 3600


@pytest.fixture(scope="module")
def throttled(database: Database) -> Iterator[Accounts]:
    """Use cases that let through few failures, on the database under test."""
    accounts = Accounts(
        database.url,
        failed_logins_per_account=f"{BURST} per 1h",
        failed_logins_per_address=f"{ADDRESS_BURST} per 1h",
    )
    yield accounts
    accounts.close()


def new_address() -> str:
    return ".".join(["10", *(str(part) for part in secrets.token_bytes(3))])


def login(person: Person, address: str, password: str | None = None) -> Login:
    credentials = replace(person.credentials, address=address)
    return Login(
        credentials if password is None else replace(credentials, password=password), "", None, Origin()
    )


def log_in_from(accounts: Accounts, person: Person, address: str) -> None:
    accounts.do(log_in, login(person, address))


def guess(accounts: Accounts, person: Person, address: str) -> Throttled | None:
    """A wrong password; None if it was looked at."""
    try:
        accounts.do(log_in, login(person, address, "a wrong password"))
    except Throttled as error:
        return error
    except CredentialsRejected:
        return None
    raise AssertionError("a wrong password was let in")


def looked_at(accounts: Accounts, person: Person, address: str | None = None, tries: int = 12) -> int:
    """How many of so many guesses were looked at, each from a new address unless one is given."""
    outcomes = [guess(accounts, person, address or new_address()) for _ in range(tries)]
    count = outcomes.index(next(outcome for outcome in outcomes if outcome is not None))
    assert None not in outcomes[count:]
    return count


def counted(accounts: Accounts) -> set[tuple[bytes, Any]]:
    return {(bytes(row[0]), row[1]) for row in accounts.sql("SELECT key, free_at FROM throttle")}


def attempt(person: Person, address: str = "") -> Attempt:
    return Attempt(
        normalize_email(person.username), OrganizationId(person.organization_id), client_network(address)
    )


@contextmanager
def nothing_counted(accounts: Accounts) -> Iterator[None]:
    """The database refuses new counts."""
    sqlite = accounts.engines.sqlite_file is not None
    if sqlite:
        accounts.sql("CREATE TRIGGER broken BEFORE INSERT ON throttle BEGIN SELECT * FROM missing; END")
    else:
        accounts.sql(
            "CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql "
            "AS $$ BEGIN RAISE EXCEPTION 'x'; END $$"
        )
        accounts.sql("CREATE TRIGGER broken BEFORE INSERT ON throttle FOR EACH ROW EXECUTE FUNCTION broken()")
    try:
        yield
    finally:
        accounts.sql("DROP TRIGGER broken" if sqlite else "DROP FUNCTION broken CASCADE")


def pass_time(accounts: Accounts, key: bytes, seconds: float) -> None:
    """As if so much time had passed for one key, and for what is remembered."""
    used_up = accounts.services.used_up
    now = used_up.now
    used_up.now = lambda: now() + seconds
    make_earlier(accounts, key, seconds)


def make_earlier(accounts: Accounts, key: bytes, seconds: float) -> None:
    """As if so much time had passed for one key, in the database alone."""
    earlier = (
        f"free_at - {int(seconds * 1_000_000)}"
        if accounts.engines.sqlite_file is not None
        else f"free_at - interval '{seconds} seconds'"
    )
    accounts.sql(f"UPDATE throttle SET free_at = {earlier} WHERE key = :key", key=key)


def test_an_account_is_guessed_at_the_rate_and_no_faster(throttled: Accounts) -> None:
    person = throttled.add_person()
    assert looked_at(throttled, person) == BURST
    refused = guess(throttled, person, new_address())
    assert refused is not None
    assert HOUR / BURST - 60 < refused.retry_after <= HOUR / BURST
    pass_time(throttled, attempt(person).account, refused.retry_after - 60)
    assert looked_at(throttled, person) == 0
    pass_time(throttled, attempt(person).account, 60)
    assert looked_at(throttled, person) == 1
    pass_time(throttled, attempt(person).account, 10 * HOUR)
    assert looked_at(throttled, person) == BURST


def test_an_unknown_account_is_refused_like_a_known_one(throttled: Accounts) -> None:
    known, other = throttled.add_person(), throttled.add_person()
    people = [
        known,
        Person(known.organization_id, f"{secrets.token_hex(4)}@example.com"),
        Person("zzzzz" + secrets.token_hex(4), known.username),
        Person(other.organization_id, known.username),
    ]
    refusals = []
    for person in people:
        assert looked_at(throttled, person) == BURST
        refusals.append(guess(throttled, person, new_address()))
    assert {(type(refused), refused.code, refused.detail) for refused in refusals if refused} == {
        (Throttled, "throttled", "account or address")
    }
    waits = [refused.retry_after for refused in refusals if refused]
    assert max(waits) - min(waits) < 60


def test_spellings_of_a_username_are_one_account(throttled: Accounts) -> None:
    person = throttled.add_person()
    spelled = [person.username.upper(), f" {person.username}", person.username.title(), person.username]
    outcomes = [guess(throttled, Person(person.organization_id, name), new_address()) for name in spelled]
    assert [outcome is None for outcome in outcomes] == [True] * BURST + [False]


def test_a_refused_attempt_writes_nothing(throttled: Accounts) -> None:
    person, address = throttled.add_person(), new_address()
    # As long as it is not remembered: OFTEN.
    looked_at(throttled, person, address, tries=BURST + 1)
    before = counted(throttled)
    for _ in range(5):
        assert guess(throttled, person, address) is not None
        assert guess(throttled, person, new_address()) is not None
        with pytest.raises(Throttled):
            log_in_from(throttled, person, new_address())
    assert counted(throttled) == before


def test_strangers_do_not_lock_out_a_known_address(throttled: Accounts) -> None:
    person, home = throttled.add_person(), new_address()
    log_in_from(throttled, person, home)
    assert looked_at(throttled, person) == BURST
    log_in_from(throttled, person, home)
    # Not even from the same address as the known one, and the strangers stay refused.
    for _ in range(ADDRESS_BURST):
        guess(throttled, Person(person.organization_id, f"{secrets.token_hex(4)}@example.com"), home)
    assert guess(throttled, throttled.add_person(), home) is not None
    log_in_from(throttled, person, home)
    with pytest.raises(Throttled):
        log_in_from(throttled, person, new_address())


def test_guesses_from_a_known_address_are_counted_apart(throttled: Accounts) -> None:
    person, home, office = throttled.add_person(), new_address(), new_address()
    log_in_from(throttled, person, home)
    log_in_from(throttled, person, office)
    assert looked_at(throttled, person, home) == BURST
    with pytest.raises(Throttled):
        log_in_from(throttled, person, home)
    log_in_from(throttled, person, office)
    log_in_from(throttled, person, new_address())
    pass_time(throttled, attempt(person, home).account_from_address, HOUR / BURST)
    log_in_from(throttled, person, home)


def test_a_known_address_is_known_to_that_account_only(throttled: Accounts) -> None:
    person, home = throttled.add_person(), new_address()
    colleague = throttled.add_person_to(person.organization_id)
    elsewhere = throttled.join(person, throttled.add_person().organization_id)
    log_in_from(throttled, person, home)
    for other in (colleague, elsewhere):
        assert looked_at(throttled, other) == BURST
        with pytest.raises(Throttled):
            log_in_from(throttled, other, home)


def test_a_success_from_a_new_address_gives_strangers_no_further_guesses(throttled: Accounts) -> None:
    """Nor does it tell them that somebody has logged in."""
    person, home = throttled.add_person(), new_address()
    for _ in range(BURST - 1):
        assert guess(throttled, person, new_address()) is None
    log_in_from(throttled, person, home)
    assert looked_at(throttled, person) == 1
    log_in_from(throttled, person, home)


def test_a_count_that_a_clock_set_back_has_left_far_ahead_keeps_nobody_out(throttled: Accounts) -> None:
    person, home, elsewhere = throttled.add_person(), new_address(), new_address()
    log_in_from(throttled, person, home)
    keys = [attempt(person, home).account_from_address, attempt(person, elsewhere).account]
    assert guess(throttled, person, home) is None
    assert guess(throttled, person, elsewhere) is None
    for key in keys:
        pass_time(throttled, key, -86_400)
    assert looked_at(throttled, person, home) == BURST
    assert looked_at(throttled, person) == BURST


def test_a_success_from_a_known_address_resets_its_own_count(throttled: Accounts) -> None:
    person, home = throttled.add_person(), new_address()
    log_in_from(throttled, person, home)
    for _ in range(BURST - 1):
        assert guess(throttled, person, home) is None
    log_in_from(throttled, person, home)
    assert looked_at(throttled, person, home) == BURST
    # A stranger's guesses stay counted, however often the owner logs in at home.
    assert looked_at(throttled, person) == BURST


def test_an_address_is_held_to_its_rate_whoever_it_tries(throttled: Accounts) -> None:
    address = new_address()
    outcomes = [guess(throttled, throttled.add_person(), address) for _ in range(ADDRESS_BURST + 2)]
    assert [outcome is None for outcome in outcomes] == [True] * ADDRESS_BURST + [False] * 2
    assert guess(throttled, throttled.add_person(), new_address()) is None


def test_good_logins_use_nothing_of_an_address_up(throttled: Accounts) -> None:
    address = new_address()
    for _ in range(ADDRESS_BURST + 2):
        log_in_from(throttled, throttled.add_person(), address)
    assert guess(throttled, throttled.add_person(), address) is None


def test_an_ipv6_network_of_64_bits_counts_as_one_address(throttled: Accounts) -> None:
    network, other = (f"2001:db8:{secrets.token_hex(2)}:{end}" for end in ("1", "2"))
    for _ in range(ADDRESS_BURST):
        address = f"{network}:{secrets.token_hex(2)}:{secrets.token_hex(2)}:0:1"
        assert guess(throttled, throttled.add_person(), address) is None
    assert guess(throttled, throttled.add_person(), f"{network}::ffff") is not None
    assert guess(throttled, throttled.add_person(), f"{other}::ffff") is None


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:0:1:ffff:ffff:ffff:ffff", "2001:db8:0:1::/64"),
        ("2001:0DB8:0000:0001::", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unknown", ""),
    ],
)
def test_the_network_of_an_address(address: str, network: str) -> None:
    assert client_network(address) == network


def test_names_that_nobody_can_have_count_for_their_address(throttled: Accounts) -> None:
    address = new_address()
    impossible = [Person("\x00", "x"), Person("zzzzzz", "x\x00"), Person("zzzzzz", "x" * 255)]
    for person in impossible[:BURST]:
        guess(throttled, person, address)
    left = [guess(throttled, throttled.add_person(), address) is None for _ in range(ADDRESS_BURST)]
    assert left == [True] * (ADDRESS_BURST - BURST) + [False] * BURST


def test_a_right_password_that_gets_no_token_is_no_failure(throttled: Accounts) -> None:
    full, address = throttled.add_person(token_limit=0), new_address()
    for _ in range(2 * ADDRESS_BURST):
        with pytest.raises(TokenLimitReached):
            log_in_from(throttled, full, address)
    impatient = throttled.add_person()
    for _ in range(2 * BURST):
        with pytest.raises(InvalidValue):
            throttled.do(log_in, replace(login(impatient, new_address()), time_to_live=10**9))
    # As HTTP Basic does it.
    basic = throttled.add_person()
    for _ in range(2 * BURST):
        throttled.do(identify, login(basic, new_address()).credentials, Origin())
    assert looked_at(throttled, basic) == BURST


def test_a_disabled_users_right_password_is_counted_as_a_failure(throttled: Accounts) -> None:
    owner = throttled.add_person()
    person = throttled.add_person_to(owner.organization_id, Role.MEMBER)
    throttled.do(disable_user, person.username)
    for _ in range(BURST):
        with pytest.raises(CredentialsRejected):
            log_in_from(throttled, person, new_address())
    with pytest.raises(Throttled):
        log_in_from(throttled, person, new_address())


def test_identifying_and_logging_in_are_counted_together(throttled: Accounts) -> None:
    person = throttled.add_person()
    for _ in range(BURST):
        with pytest.raises(CredentialsRejected):
            throttled.do(identify, login(person, new_address(), "a wrong password").credentials, Origin())
    assert looked_at(throttled, person) == 0


def test_guesses_at_once_are_let_through_as_one_after_the_other(throttled: Accounts) -> None:
    person, home = throttled.add_person(), new_address()
    log_in_from(throttled, person, home)
    for address in (None, home):
        logins = [login(person, address or new_address(), "a wrong password") for _ in range(40)]
        assert at_once(throttled, logins) == {CredentialsRejected: BURST, Throttled: 40 - BURST}


def test_good_logins_at_once_from_a_known_address_are_not_throttled(throttled: Accounts) -> None:
    person, home = throttled.add_person(token_limit=100), new_address()
    log_in_from(throttled, person, home)
    assert at_once(throttled, [login(person, home)] * 40) == {None: 40}


def at_once(accounts: Accounts, logins: list[Login]) -> Counter[type | None]:
    async def gathered() -> list[Any]:
        work = (log_in(accounts.services, each) for each in logins)
        return await asyncio.gather(*work, return_exceptions=True)

    outcomes = accounts.run(gathered())
    return Counter(type(outcome) if isinstance(outcome, Exception) else None for outcome in outcomes)


@pytest.mark.slow
def test_a_throttled_attempt_does_not_wait_for_a_turn_to_be_hashed(
    database: Database, throttled: Accounts
) -> None:
    person, home = throttled.add_person(), new_address()
    log_in_from(throttled, person, home)
    looked_at(throttled, person, tries=BURST + 1)
    looked_at(throttled, person, home, tries=BURST + 1)
    accounts = Accounts(
        database.url,
        failed_logins_per_account=f"{BURST} per 1h",
        password_hash_memory_kib=32768,
        password_hash_time_cost=4,
        password_hash_threads=1,
    )

    async def refused_first(address: str) -> bool:
        nobody = [Person("zzzzzz", f"{secrets.token_hex(4)}@example.com") for _ in range(4)]
        tasks = [
            asyncio.create_task(log_in(accounts.services, login(each, new_address()))) for each in nobody
        ]
        await asyncio.sleep(0)
        with pytest.raises(Throttled):
            await log_in(accounts.services, login(person, address))
        waiting = not tasks[-1].done()
        await asyncio.gather(*tasks, return_exceptions=True)
        return waiting

    try:
        assert accounts.run(refused_first(new_address()))
        assert accounts.run(refused_first(home))
    finally:
        accounts.close()


def test_successful_logins_are_limited_where_that_is_set(database: Database, throttled: Accounts) -> None:
    accounts = Accounts(database.url, logins_per_account="2 per 1h")
    try:
        person, other, home = accounts.add_person(), accounts.add_person(), new_address()
        log_in_from(accounts, person, home)
        log_in_from(accounts, person, new_address())
        for address in (home, new_address()):
            with pytest.raises(Throttled) as raised:
                log_in_from(accounts, person, address)
            assert 1700 < raised.value.retry_after <= 1800
        assert accounts.live_tokens(person.organization_id) == 2
        log_in_from(accounts, other, home)
        # Nobody is told who has not the password.
        with pytest.raises(CredentialsRejected):
            accounts.do(log_in, login(person, new_address(), "a wrong password"))
        log_in_from(throttled, person, home)  # off by default
    finally:
        accounts.close()


def known_addresses(accounts: Accounts, person: Person) -> dict[str, Any]:
    rows = accounts.sql(
        "SELECT address, used FROM known_address WHERE organization_id = :id", id=person.organization_id
    )
    return {row[0]: row[1] for row in rows}


def test_the_addresses_used_last_are_known(throttled: Accounts) -> None:
    person, addresses = throttled.add_person(token_limit=100), [new_address() for _ in range(25)]
    for address in addresses:
        log_in_from(throttled, person, address)
    assert set(known_addresses(throttled, person)) == set(addresses[-ADDRESSES_MAX:])


def test_a_login_from_a_known_address_notes_it_once_a_day(throttled: Accounts) -> None:
    person, home = throttled.add_person(), new_address()
    log_in_from(throttled, person, home)
    first = known_addresses(throttled, person)
    log_in_from(throttled, person, home)
    assert known_addresses(throttled, person) == first
    day = "86400 * 1000000" if throttled.engines.sqlite_file is not None else "interval '1 day'"
    throttled.sql(
        f"UPDATE known_address SET used = used - {day} WHERE organization_id = :id", id=person.organization_id
    )
    log_in_from(throttled, person, home)
    assert known_addresses(throttled, person)[home] >= first[home]


def test_a_removed_member_leaves_no_known_address(throttled: Accounts) -> None:
    person = throttled.add_person()
    log_in_from(throttled, person, new_address())
    throttled.sql("DELETE FROM membership WHERE organization_id = :id", id=person.organization_id)
    assert known_addresses(throttled, person) == {}


def test_counts_that_are_made_up_for_are_deleted_and_no_others(throttled: Accounts) -> None:
    gone, stays = throttled.add_person(), throttled.add_person()
    guess(throttled, gone, new_address())
    guess(throttled, stays, new_address())
    throttled.do(prune_throttle)
    pass_time(throttled, attempt(gone).account, HOUR)
    before = counted(throttled)
    assert throttled.do(prune_throttle) == 1
    assert {key for key, _ in before - counted(throttled)} == {attempt(gone).account}
    assert attempt(stays).account in {key for key, _ in counted(throttled)}
    assert throttled.do(prune_throttle) == 0


def test_many_counts_are_deleted_in_batches(throttled: Accounts) -> None:
    rows = ",".join(f"({key})" for key in range(2500))
    past = throttled.an_hour_ago
    key = "CAST(n AS BLOB)" if throttled.engines.sqlite_file is not None else "int4send(n)"
    throttled.sql(
        f"WITH series(n) AS (VALUES {rows}) "
        f"INSERT INTO throttle (key, free_at) SELECT {key}, {past} FROM series"
    )
    assert throttled.do(prune_throttle) >= 2500


def test_what_cannot_be_counted_is_refused(database: Database, throttled: Accounts) -> None:
    person, known = throttled.add_person(), throttled.add_person()
    home = new_address()
    log_in_from(throttled, known, home)
    with nothing_counted(throttled):
        with pytest.raises(StoreUnavailable):
            log_in_from(throttled, person, new_address())
        with pytest.raises(StoreUnavailable):
            guess(throttled, known, home)
        log_in_from(throttled, known, home)  # nothing to count
    log_in_from(throttled, person, new_address())


def test_processes_of_one_machine_share_the_attempts_under_way() -> None:
    rate = Rate(10, 600)
    throttle = Throttle(
        account=rate, address=rate, logins=None, child_tokens=rate, processes=4, wait_seconds=0.01
    )

    async def begun() -> int:
        started = 0

        async def one() -> None:
            nonlocal started
            async with throttle.under_way(b"key", 0.0):
                started += 1
                await never

        never = asyncio.get_running_loop().create_future()
        tasks: list[Awaitable[None]] = [asyncio.create_task(one()) for _ in range(20)]
        await asyncio.sleep(0.1)
        never.set_result(None)
        await asyncio.gather(*tasks, return_exceptions=True)
        return started

    assert asyncio.run(begun()) == 10 // 4


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("10 per 30m", Rate(10, 1800)),
        (" 1 per 1s ", Rate(1, 1)),
        ("1000000 per 1d", Rate(1_000_000, 86_400)),
        ("5 per 90m", Rate(5, 5400)),
    ],
)
def test_a_rate_is_read_and_written(text: str, rate: Rate) -> None:
    assert parse_rate(text) == rate
    assert str(rate) == text.strip()


@pytest.mark.parametrize(
    "text",
    ["", "10", "0 per 1h", "10 per 0m", "10 per 25h", "1000001 per 1h", "-1 per 1h", "10/1h", "1 per 1w"],
)
def test_a_wrong_rate_stops_the_start_with_what_is_expected(text: str) -> None:
    with pytest.raises(CannotStart, match=r"failed_logins_per_account.*such as '10 per 30m'"):
        load_settings({}, None, {"NIGHTLATCH_FAILED_LOGINS_PER_ACCOUNT": text})


def test_by_default_100_failures_take_hours_and_a_client_may_retry() -> None:
    rate = load_settings({}, None, {}).failed_logins_per_account
    assert rate.burst >= 2 * 5
    assert (100 - rate.burst) * rate.interval > 4 * HOUR


@pytest.mark.parametrize(
    ("wait", "sentence"),
    [
        (0.2, "Request was throttled. Expected available in 1 second."),
        (1.2, "Request was throttled. Expected available in 2 seconds."),
    ],
)
def test_the_sentence_is_that_of_django_rest_framework(wait: float, sentence: str) -> None:
    assert Throttled(wait, "").public == sentence


def test_failures_at_once_are_never_so_many_that_they_count_as_none(throttled: Accounts) -> None:
    key, rate = secrets.token_bytes(16), Rate(BURST, HOUR)

    async def count_many() -> list[float]:
        async with throttled.services.store.write() as connection:
            return [await count(connection, key, rate) for _ in range(4 * BURST)]

    assert all(rate.left(ahead) == 0 for ahead in throttled.run(count_many())[BURST:])
