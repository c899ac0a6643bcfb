"""Connections to PostgreSQL: what is given to the next one is open and in no transaction."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Insert, bindparam, insert, select, text
from sqlalchemy.exc import IntegrityError

from nightlatch.model.errors import StoreUnavailable
from nightlatch.store.postgresql_pool import PostgresqlPool
from nightlatch.store.tables import change_counter, user
from tests.accounts import Accounts
from tests.conftest import RELEASES, new_database

POSTGRESQL = [kind for kind in RELEASES if kind != "sqlite"]
pytestmark = pytest.mark.slow

PID = text("SELECT pg_backend_pid()")


@pytest.fixture(scope="module", params=POSTGRESQL)
def accounts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Accounts]:
    made = Accounts(new_database(request.param, request, tmp_path_factory.mktemp("database")).url)
    yield made
    made.close()


async def pid(store: Any) -> int:
    async with store.read() as connection:
        number: int = (await connection.execute(PID)).scalar_one()
        return number


def the_same_user_again(accounts: Accounts) -> Insert:
    """A statement that the database refuses."""
    email = accounts.add_person().username
    return insert(user).values({"email": email, "password_hash": "", "created": text("now()")})


def test_a_connection_is_used_again(accounts: Accounts) -> None:
    store = accounts.services.store
    assert accounts.run(pid(store)) == accounts.run(pid(store))


def test_a_refused_statement_undoes_its_transaction_and_nothing_else(accounts: Accounts) -> None:
    again = the_same_user_again(accounts)
    store = accounts.services.store

    async def refused() -> None:
        async with store.write() as connection:
            await connection.execute(text("CREATE TABLE left_over (n integer)"))
            await connection.execute(again)

    before = accounts.run(pid(store))
    with pytest.raises(IntegrityError):
        accounts.run(refused())
    assert accounts.run(pid(store)) == before
    assert accounts.sql("SELECT to_regclass('left_over')")[0][0] is None


def test_an_error_that_is_swallowed_cannot_pass_for_a_commit(accounts: Accounts) -> None:
    again = the_same_user_again(accounts)
    store = accounts.services.store

    async def swallowed() -> None:
        async with store.write() as connection:
            with pytest.raises(IntegrityError):
                await connection.execute(again)

    with pytest.raises(RuntimeError, match="undone"):
        accounts.run(swallowed())


def test_whoever_is_cancelled_in_a_transaction_leaves_none_to_the_next(accounts: Accounts) -> None:
    store = accounts.services.store

    async def cancelled() -> None:
        async with store.write() as connection:
            await connection.execute(text("CREATE TABLE left_over (n integer)"))
            await connection.execute(text("SELECT pg_sleep(30)"))

    async def run() -> bool:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await cancelled()
        async with store.write() as connection:
            return (await connection.execute(text("SELECT to_regclass('left_over')"))).scalar_one() is None

    assert accounts.run(run())


def test_connections_that_the_database_has_closed_are_not_given_out(accounts: Accounts) -> None:
    store = accounts.services.store

    pool: Any = accounts.engines.reading

    async def run() -> int:
        first = await pid(store)
        other = await accounts.engines.connect()
        await other.execute("SELECT pg_terminate_backend($1)", first)
        await other.close()
        while not all(driver.is_closed() for driver in pool._idle):
            await asyncio.sleep(0)  # until the loop has read that it is gone
        return await pid(store) - first

    assert accounts.run(run()) != 0


def test_when_one_connection_was_cut_the_idle_ones_are_not_tried_one_by_one(accounts: Accounts) -> None:
    store = accounts.services.store

    async def hold(opened: int) -> None:
        async with store.read() as connection:
            await connection.execute(PID)
            if opened < 5:
                await hold(opened + 1)

    async def run() -> None:
        await hold(1)
        pool: Any = accounts.engines.reading
        for driver in pool._idle:
            # As after a middlebox forgot them: nothing is noticed before something is sent.
            driver._transport.pause_reading()
        other = await accounts.engines.connect()
        await other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND application_name = 'nightlatch' "
            "AND datname = current_database()"
        )
        await other.close()
        # The first to be tried says so; from the others no word would ever come.
        pool._idle[-1]._transport.resume_reading()
        with pytest.raises(StoreUnavailable):
            await pid(store)
        async with asyncio.timeout(5):
            await pid(store)

    accounts.run(run())


def test_who_finds_no_free_connection_is_told_so(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    from nightlatch.store import postgresql_pool

    monkeypatch.setattr(postgresql_pool, "BUSY_SECONDS", 0.1)
    store = accounts.services.store

    async def hold(opened: int) -> None:
        if opened == postgresql_pool.CONNECTIONS_MAX:
            with pytest.raises(StoreUnavailable):
                await pid(store)
            return
        async with store.read():
            await hold(opened + 1)

    accounts.run(hold(0))
    accounts.run(pid(store))


def test_a_list_of_values_may_be_asked_for(accounts: Accounts) -> None:
    person = accounts.add_person()
    statement = select(user.c.email).where(user.c.email.in_(["nobody@example.com", person.username]))

    async def run() -> list[str]:
        async with accounts.services.store.read() as connection:
            return [row.email for row in await connection.execute(statement)]

    assert accounts.run(run()) == [person.username]


def test_a_parameter_that_is_missing_is_an_error_and_not_null(accounts: Accounts) -> None:
    statement = select(change_counter.c.number).where(change_counter.c.number > bindparam("after"))

    async def run() -> None:
        async with accounts.services.store.read() as connection:
            await connection.execute(statement, {})

    with pytest.raises(KeyError, match="after"):
        accounts.run(run())


def test_whoever_has_their_connection_cut_hears_that_the_database_is_unavailable(
    accounts: Accounts,
) -> None:
    store = accounts.services.store
    warning = text("DO $$ BEGIN RAISE WARNING 'now'; END $$")

    async def use(in_transaction: bool) -> None:
        async with store.write() if in_transaction else store.read() as connection:
            await connection.execute(PID)
            driver: Any = connection
            # What the warning calls comes after the answer has arrived, before it is looked at.
            driver._driver.add_log_listener(lambda *_: store.renew_connections())
            await connection.execute(warning)

    async def run() -> None:
        for in_transaction in (False, True):
            with pytest.raises(StoreUnavailable):
                await use(in_transaction)
        await pid(store)

    accounts.run(run())


def test_a_connection_that_was_being_opened_when_all_were_cut_is_not_used(accounts: Accounts) -> None:
    async def run() -> None:
        opened: list[Any] = []

        async def open_slowly() -> Any:
            driver = await accounts.engines.connect()
            if not opened:
                pool.renew()
            opened.append(driver)
            return driver

        pool = PostgresqlPool(open_slowly)
        async with pool.connect() as connection:
            await connection.execute(PID)
        assert [driver.is_closed() for driver in opened] == [True, False]
        await pool.dispose()

    accounts.run(run())
