"""Rows that nobody needs any more go, a batch at a time, by one process at a time."""

import asyncio

import pytest

from nightlatch.store import pruning
from nightlatch.usecases.prune import prune_expired
from tests.accounts import Accounts
from tests.conftest import Database

pytestmark = pytest.mark.every_release


def old_changes(accounts: Accounts, number: int) -> None:
    """Changes of two hours ago, and one of now."""
    now, earlier = "now()", "now() - interval '2 hours'"
    if accounts.engines.sqlite_file is not None:
        now = "CAST(strftime('%s', 'now') AS INTEGER) * 1000000"
        earlier = f"{now} - 7200000000"
    accounts.sql("DELETE FROM change")
    accounts.sql(
        f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {number}) "
        f"INSERT INTO change (number, at) SELECT i + (SELECT number FROM change_counter), {earlier} FROM n"
    )
    accounts.sql(f"INSERT INTO change (number, at) SELECT max(number) + 1, {now} FROM change")
    accounts.sql("UPDATE change_counter SET number = (SELECT max(number) FROM change)")


def kept_changes(accounts: Accounts) -> int:
    return int(accounts.sql("SELECT count(*) FROM change")[0][0])


def test_old_changes_go_in_batches_and_leave_no_gap(accounts: Accounts) -> None:
    old_changes(accounts, 2 * pruning.BATCH_ROWS + 5)
    assert accounts.do(prune_expired) == 2 * pruning.BATCH_ROWS + 5
    ((first, last, number),) = accounts.sql(
        "SELECT min(number), max(number), (SELECT number FROM change_counter) FROM change"
    )
    assert first == last == number
    assert accounts.do(prune_expired) == 0


def test_one_process_prunes_at_a_time(accounts: Accounts, database: Database) -> None:
    if database.kind == "sqlite":
        return  # one writer at a time
    old_changes(accounts, 5)
    other = Accounts(database.url)

    async def while_another_prunes() -> int:
        async with other.services.store.write() as connection:
            assert await pruning.may_prune(connection)
            return await asyncio.wrap_future(
                asyncio.run_coroutine_threadsafe(prune_expired(accounts.services), accounts._loop)
            )

    try:
        assert other.run(while_another_prunes()) == 0
        assert kept_changes(accounts) == 6
    finally:
        other.close()
    assert accounts.do(prune_expired) == 5
    assert kept_changes(accounts) == 1
