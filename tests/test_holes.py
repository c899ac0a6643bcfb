"""The holes that memory must keep shut, each by its number in docs/security.md.

H9, H18, H19 and H34 also stand in test_table.py, H10 in test_late_changes.py, H17 and H29 in
test_database_limits.py, H30 in test_verify.py; tests/robustness finds them in the running service.
"""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nightlatch.fresh import fills as fills_module
from nightlatch.fresh import shared_file
from nightlatch.fresh.fills import WAITING_MAX
from nightlatch.hot.header import TokenHeader
from nightlatch.hot.known import Known, KnownChild
from nightlatch.model.errors import CannotStart, InvalidValue, Overloaded, Refused, StoreUnavailable
from nightlatch.model.names import OrganizationId, TokenId
from nightlatch.model.origin import Origin
from nightlatch.model.token import generate_token, parse_token
from nightlatch.store.engine import open_engines
from nightlatch.store.file_system import NOT_LOCAL, file_system
from nightlatch.store.leases import changing_lease
from nightlatch.store.standings import StandingRead, read_standing
from nightlatch.usecases.change_lease import change_lease, show_lease
from nightlatch.usecases.log_out import log_out
from nightlatch.usecases.revoke_tokens import revoke_all, revoke_one
from tests.accounts import Accounts, Person
from tests.conftest import Database
from tests.memory import Memory
from tests.serving import Serving
from tests.sockets import exchange, with_token

pytestmark = pytest.mark.every_release

SOURCE = Path(__file__).parent.parent / "src" / "nightlatch"
ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
_POSTGRESQL_18 = pytest.param("postgresql-18", marks=pytest.mark.slow)  # the inner loop starts no server
ON_POSTGRESQL = pytest.mark.parametrize("database", [_POSTGRESQL_18], indirect=True)


@pytest.fixture
def memory(accounts: Accounts) -> Iterator[Memory]:
    made = Memory(accounts)
    yield made
    made.close()


@pytest.fixture
def person(accounts: Accounts) -> Person:
    return accounts.add_person()


def log_out_token(accounts: Accounts, token: str) -> None:
    parsed = parse_token(token.encode())
    assert parsed is not None
    accounts.do(log_out, parsed, Origin())


def known(memory: Memory, accounts: Accounts, person: Person) -> str:
    """A token that memory knows."""
    token = accounts.log_in(person)
    assert memory.accepts(token)
    assert isinstance(memory.find_nowait(token), Known)
    return token


# Memory


def test_promise_3_a_known_token_needs_no_database(
    accounts: Accounts, memory: Memory, person: Person
) -> None:
    token = known(memory, accounts, person)
    asked: list[str] = []

    async def count() -> list[bool]:
        engines: list[Any] = [accounts.engines.reading, accounts.engines.writing]
        for engine in engines if accounts.engines.sqlite_file is not None else ():
            # PostgreSQL cannot be asked without an await, and nothing awaits below.
            engine._driver.set_trace_callback(asked.append)
        return [
            isinstance(memory.lookup.find_nowait(f"Token {token}".encode(), ""), Known) for _ in range(1000)
        ]

    assert all(accounts.run(count()))
    assert asked == []


def test_a_logout_reaches_another_processs_memory(accounts: Accounts, memory: Memory, person: Person) -> None:
    for _ in range(5):
        token = known(memory, accounts, person)
        log_out_token(accounts, token)
        assert not memory.accepts(token)


def test_a_parents_logout_reaches_what_another_processs_memory_knows_of_its_children(
    accounts: Accounts, memory: Memory, person: Person
) -> None:
    for _ in range(5):
        parent = known(memory, accounts, person)
        children = [accounts.issue_child(parent, ["GET"], ["/"]) for _ in range(3)]
        for child in children:
            assert memory.accepts(child)
            assert isinstance(memory.find_nowait(child), KnownChild)
        log_out_token(accounts, parent)
        assert not any(memory.accepts(child) for child in children)


def test_h9_a_read_of_a_child_from_before_its_parents_end_is_not_kept(
    accounts: Accounts, memory: Memory, person: Person
) -> None:
    parent = known(memory, accounts, person)
    child = parse_token(accounts.issue_child(parent, ["GET"], ["/"]).encode())
    assert child is not None

    async def read() -> StandingRead:
        async with accounts.services.store.read() as connection:
            return await read_standing(connection, child.digest)

    before = accounts.run(read())
    assert before.standing is not None
    log_out_token(accounts, parent)
    assert not memory.accepts(parent)  # the change was applied
    assert not memory.table.is_usable(child.digest, before.snapshot)


def test_h29_raw_sql_reaches_memory_too(accounts: Accounts, memory: Memory, person: Person) -> None:
    token = known(memory, accounts, person)
    accounts.sql("DELETE FROM token WHERE id = :id", id=token[4:16])
    if accounts.engines.sqlite_file is None:
        time.sleep(0.25 * 1.1)  # a lease is what raw SQL has to wait for by itself
    assert not memory.accepts(token)


def test_h29_rv8_what_no_trigger_told_is_believed_for_a_minute_at_most(
    accounts: Accounts, memory: Memory, person: Person
) -> None:
    token = known(memory, accounts, person)
    number = accounts.sql("SELECT number FROM change_counter")[0][0]
    if accounts.engines.sqlite_file is not None:
        trigger = accounts.sql("SELECT sql FROM sqlite_master WHERE name = 'token_delete_changes'")[0][0]
        accounts.sql("DROP TRIGGER token_delete_changes")
        accounts.sql("DELETE FROM token WHERE id = :id", id=token[4:16])
        accounts.sql(trigger)
    else:

        async def without_triggers() -> None:
            connection = await accounts.engines.connect()
            await connection.execute("SET session_replication_role = replica")
            await connection.execute("DELETE FROM token WHERE id = $1", token[4:16])
            await connection.close()

        accounts.run(without_triggers())
    assert accounts.sql("SELECT number FROM change_counter")[0][0] == number
    assert memory.accepts(token), "no trigger told"
    entry = memory.find_nowait(token)
    assert isinstance(entry, Known)
    entry.until -= 60
    assert not memory.accepts(token)


def test_h31_an_expired_token_is_refused_from_memory_by_the_databases_clock(
    accounts: Accounts, memory: Memory, person: Person
) -> None:
    token = accounts.log_in(person)
    seconds = 4
    moment = (
        f"(CAST(strftime('%s', 'now') AS INTEGER) + {seconds}) * 1000000"
        if accounts.engines.sqlite_file is not None
        else f"now() + interval '{seconds} s'"
    )
    accounts.sql(f"UPDATE token SET expiry = {moment} WHERE id = :id", id=token[4:16])
    assert memory.accepts(token)
    entry = memory.find_nowait(token)
    assert isinstance(entry, Known)
    now = memory.accounts.run(_database_seconds(memory))
    assert 0 < entry.until - now <= seconds
    entry.until = now  # the moment has come, memory is current
    assert isinstance(memory.find_nowait(token), TokenHeader)


async def _database_seconds(memory: Memory) -> float:
    await memory.currency.wait_current()
    seconds: float = memory.currency.database_seconds_nowait()
    return seconds


class HeldReads:
    """Lets reads of tokens run, and holds back what they returned until the test lets it go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = threading.Event()
        self.count = 0
        self._release = asyncio.Event()
        monkeypatch.setattr(fills_module, "read_standing", self._read)

    async def _read(self, *arguments: Any) -> StandingRead:
        read = await read_standing(*arguments)
        self.count += 1
        if not self._release.is_set():
            self.begun.set()
            await self._release.wait()
        return read

    def release(self, accounts: Accounts) -> None:
        async def do() -> None:
            self._release.set()

        accounts.run(do())


def _start(accounts: Accounts, memory: Memory, token: str) -> "asyncio.Task[bool]":
    async def begin() -> "asyncio.Task[bool]":
        return asyncio.create_task(memory.verify(token))

    return accounts.run(begin())


async def _result(task: "asyncio.Task[bool]") -> bool:
    return await task


def test_h9_a_read_from_before_the_change_neither_answers_nor_stays(
    accounts: Accounts, memory: Memory, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = accounts.log_in(person)
    memory.accepts(accounts.log_in(person))  # memory has begun
    held = HeldReads(monkeypatch)
    request = _start(accounts, memory, token)
    assert held.begun.wait(5)
    log_out_token(accounts, token)
    held.release(accounts)
    assert accounts.run(_result(request)) is False
    assert held.count >= 2, "it read again"
    assert not isinstance(memory.find_nowait(token), Known)


def test_h13_a_request_after_the_acknowledgement_gains_nothing_by_a_read_under_way(
    accounts: Accounts, memory: Memory, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = accounts.log_in(person)
    memory.accepts(accounts.log_in(person))
    held = HeldReads(monkeypatch)
    before = _start(accounts, memory, token)
    assert held.begun.wait(5)
    log_out_token(accounts, token)
    after = _start(accounts, memory, token)
    held.release(accounts)
    assert accounts.run(_result(after)) is False
    assert accounts.run(_result(before)) is False


@pytest.mark.parametrize("ended", ["parent", "child"])
def test_h13_nor_does_a_request_with_a_child_after_its_or_its_parents_end(
    ended: str, accounts: Accounts, memory: Memory, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = accounts.log_in(person)
    child = accounts.issue_child(parent, ["GET"], ["/"])
    memory.accepts(accounts.log_in(person))
    held = HeldReads(monkeypatch)
    before = _start(accounts, memory, child)
    assert held.begun.wait(5)
    if ended == "parent":
        log_out_token(accounts, parent)
    else:
        accounts.do(revoke_one, OrganizationId(person.organization_id), child[4:16])
    after = _start(accounts, memory, child)
    held.release(accounts)
    assert accounts.run(_result(after)) is False
    assert accounts.run(_result(before)) is False


def test_joined_requests_share_one_read(
    accounts: Accounts, memory: Memory, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = accounts.log_in(person)
    memory.accepts(accounts.log_in(person))
    held = HeldReads(monkeypatch)
    requests = [_start(accounts, memory, token) for _ in range(20)]
    assert held.begun.wait(5)
    held.release(accounts)
    assert all(accounts.run(_result(request)) for request in requests)
    assert held.count == 1


def test_tk1_a_malformed_token_is_refused_without_asking(
    accounts: Accounts, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = HeldReads(monkeypatch)
    held.release(accounts)
    genuine = generate_token().reveal()
    for text in (
        "nlt_",
        genuine[:-1],
        genuine[:-1] + ("0" if genuine[-1] != "0" else "1"),
        genuine.swapcase(),
        "x",
    ):
        assert not memory.accepts(text)
    assert held.count == 0
    assert not memory.accepts(genuine)
    assert not memory.accepts(genuine)
    assert held.count == 1, "that there is none is remembered"


def test_lg4_too_many_unknown_tokens_at_once_are_refused_not_queued(
    accounts: Accounts, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.accepts(generate_token().reveal())
    held = HeldReads(monkeypatch)

    async def flood() -> list[Any]:
        requests = [
            asyncio.create_task(memory.verify(generate_token().reveal())) for _ in range(WAITING_MAX + 100)
        ]
        await asyncio.sleep(0.1)
        held._release.set()
        return await asyncio.gather(*requests, return_exceptions=True)

    outcomes = accounts.run(flood())
    assert sum(isinstance(outcome, Overloaded) for outcome in outcomes) == 100
    assert all(outcome is False or isinstance(outcome, Overloaded | StoreUnavailable) for outcome in outcomes)


def test_lg4_reads_whose_requests_have_given_up_count_too(
    accounts: Accounts, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.accepts(generate_token().reveal())
    held = HeldReads(monkeypatch)
    monkeypatch.setattr(fills_module, "SECONDS_MAX", 0.2)
    monkeypatch.setattr(fills_module, "WAITING_MAX", 50)

    async def waves() -> int:
        for _ in range(3):
            requests = [memory.verify(generate_token().reveal()) for _ in range(50)]
            await asyncio.gather(*requests, return_exceptions=True)
        under_way = len(memory.fills._under_way)
        held._release.set()
        return under_way

    assert accounts.run(waves()) <= 50


# The lease


@ON_POSTGRESQL
def test_h1_the_lease_begins_before_the_read_and_only_once_its_changes_are_applied(
    accounts: Accounts, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Memory(accounts, keeping=False)
    lease = memory.currency

    async def read() -> None:
        await lease._read(lease._elapsed())

    accounts.run(read())
    assert lease._until <= memory.clock.elapsed_seconds() + 0.25
    memory.clock.moved += 10
    feed_read = lease._feed.read

    async def slow(*arguments: Any) -> Any:
        result = await feed_read(*arguments)
        memory.clock.moved += 0.2  # it was on its way for as long
        assert lease.database_seconds_nowait() is None, "trusted before the changes are applied"
        return result

    monkeypatch.setattr(lease._feed, "read", slow)
    accounts.run(read())
    remaining = lease._until - memory.clock.elapsed_seconds()
    assert remaining <= 0.05, "the lease began when the answer came"

    def broken(*_: Any) -> None:
        raise RuntimeError("half applied")

    memory.clock.moved += 10
    monkeypatch.setattr(memory.table, "apply", broken)
    with pytest.raises(RuntimeError):
        accounts.run(read())
    assert lease.database_seconds_nowait() is None
    memory.close()


@ON_POSTGRESQL
def test_h5_h7_a_pause_of_any_kind_ends_the_lease(accounts: Accounts, person: Person) -> None:
    memory = Memory(accounts)
    try:
        token = known(memory, accounts, person)

        async def paused() -> Any:
            memory.clock.moved += 0.25  # no turn of the loop in between: the process was stopped
            return memory.lookup.find_nowait(f"Token {token}".encode(), "")

        assert isinstance(accounts.run(paused()), TokenHeader)
        assert memory.accepts(token), "one read later"
    finally:
        memory.close()


def test_h7_a_process_forked_off_answers_nothing(accounts: Accounts, memory: Memory, person: Person) -> None:
    known(memory, accounts, person)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writing, b"0" if memory.currency.database_seconds_nowait() is None else b"1")
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(reading, 1) == b"0"
    os.close(reading)
    os.close(writing)


@ON_POSTGRESQL
def test_h6_h15_every_answer_about_an_ended_token_comes_after_the_lease_and_a_tenth(
    accounts: Accounts, person: Person
) -> None:
    token = accounts.log_in(person)
    parsed = parse_token(token.encode())
    assert parsed is not None
    for _ in range(2):  # the second finds nothing: its first answer may have been lost
        begin = time.monotonic()
        with contextlib.suppress(Refused):
            accounts.do(log_out, parsed, Origin())
        assert time.monotonic() - begin >= 0.25 * 1.1
    begin = time.monotonic()
    with pytest.raises(Refused):
        accounts.do(revoke_one, OrganizationId(person.organization_id), TokenId(token[4:16]))
    assert time.monotonic() - begin >= 0.25 * 1.1


@ON_POSTGRESQL
def test_h20_a_lapsed_lease_forgets_nothing_and_costs_one_read(
    accounts: Accounts, memory: Memory, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = [known(memory, accounts, person) for _ in range(5)]
    held = HeldReads(monkeypatch)
    held.release(accounts)
    for _ in range(3):
        memory.clock.moved += 0.3
        assert all(memory.accepts(token) for token in tokens)
    assert held.count == 0


@ON_POSTGRESQL
def test_h20_a_slow_read_of_the_feed_forgets_nothing(
    accounts: Accounts, memory: Memory, person: Person
) -> None:
    known(memory, accounts, person)

    async def hold_the_counter() -> None:
        connection = await accounts.engines.connect()
        async with connection.transaction():
            await connection.execute("LOCK TABLE change_counter IN ACCESS EXCLUSIVE MODE")
            await asyncio.sleep(1.4)
        await connection.close()

    accounts.run(hold_the_counter())
    accounts.run(_wait_current(memory))
    accounts.run(_wait_current(memory))
    assert memory.table.known


@ON_POSTGRESQL
def test_h20_without_a_lease_a_request_waits_for_a_bounded_time_and_is_then_refused(
    accounts: Accounts, person: Person
) -> None:
    memory = Memory(accounts, keeping=False)
    token = accounts.log_in(person)
    begin = time.monotonic()
    with pytest.raises(StoreUnavailable):
        memory.accepts(token)
    assert time.monotonic() - begin < 3
    memory.close()


@ON_POSTGRESQL
def test_h25_whoever_stops_inside_a_transaction_holds_the_counter_for_seconds_only(
    accounts: Accounts, person: Person
) -> None:
    token = accounts.log_in(person)

    async def hold() -> Any:
        connection = await accounts.engines.connect()
        await connection.execute("BEGIN")
        await connection.execute("SELECT * FROM change_counter FOR UPDATE")
        return connection

    connection = accounts.run(hold())
    begin = time.monotonic()
    log_out_token(accounts, token)
    assert time.monotonic() - begin < 7
    connection.terminate()


def test_h26_many_ended_at_once_are_waited_for_once_and_the_wait_holds_no_connection(
    accounts: Accounts, person: Person
) -> None:
    for _ in range(20):
        accounts.log_in(person)
    begin = time.monotonic()
    assert len(accounts.do(revoke_all, OrganizationId(person.organization_id), None)) == 20
    assert time.monotonic() - begin < 1.5
    tokens = [accounts.log_in(accounts.add_person()) for _ in range(60)]

    async def all_at_once() -> None:
        parsed = [parse_token(token.encode()) for token in tokens]
        await asyncio.gather(
            *(log_out(accounts.services, one, Origin()) for one in parsed if one is not None)
        )

    begin = time.monotonic()
    accounts.run(all_at_once())
    # Sixty waits on ten connections, one after another, would take more than one and a half.
    assert time.monotonic() - begin < 1.5


@ON_POSTGRESQL
def test_h41_the_lease_is_raised_in_one_step_and_lowered_in_two(accounts: Accounts) -> None:
    def stored() -> tuple[int, int]:
        row = accounts.sql("SELECT lease_milliseconds, lease_waited_milliseconds FROM change_counter")[0]
        return row[0], row[1]

    accounts.do(change_lease, 400)
    assert stored() == (400, 400)

    async def lower() -> "asyncio.Task[Any]":
        return asyncio.create_task(change_lease(accounts.services, 100))

    lowering = accounts.run(lower())
    deadline = time.monotonic() + 5
    while stored() == (400, 400):
        assert time.monotonic() < deadline
    begin = time.monotonic()
    assert stored() == (100, 400)
    with pytest.raises(Refused, match="Somebody else"):
        accounts.do(change_lease, 250)
    assert not lowering.done()
    while not lowering.done():
        time.sleep(0.01)
    assert time.monotonic() - begin > 0.3
    assert stored() == (100, 100)
    accounts.do(change_lease, 250)


@ON_POSTGRESQL
def test_h41_a_lease_that_makes_no_sense_is_refused_by_the_command_and_by_the_database(
    accounts: Accounts,
) -> None:
    from sqlalchemy.exc import IntegrityError

    for wrong in (-1, 1, 49, 10_001):
        with pytest.raises(InvalidValue, match="milliseconds"):
            accounts.do(change_lease, wrong)
    for assignment in (
        "lease_milliseconds = -1",
        "lease_waited_milliseconds = 10",
        "lease_milliseconds = 99999",
    ):
        with pytest.raises(IntegrityError):
            accounts.sql(f"UPDATE change_counter SET {assignment}")
    assert accounts.do(show_lease).milliseconds == 250


@ON_POSTGRESQL
def test_h41_the_lock_of_a_lease_change_is_given_back(accounts: Accounts) -> None:
    async def twice() -> list[bool]:
        got = []
        for _ in range(2):
            async with accounts.services.store.read() as connection, changing_lease(connection) as free:
                got.append(free)
        return got

    assert accounts.run(twice()) == [True, True]


@ON_SQLITE
def test_sqlite_has_no_lease(accounts: Accounts) -> None:
    with pytest.raises(Refused, match="SQLite"):
        accounts.do(change_lease, 100)
    with pytest.raises(Refused, match="SQLite"):
        accounts.do(show_lease)


@ON_POSTGRESQL
def test_h12_with_lease_0_each_request_reads_for_itself_and_nothing_is_kept(
    accounts: Accounts, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts.do(change_lease, 0)
    memory = Memory(accounts)
    try:
        token = accounts.log_in(person)
        held = HeldReads(monkeypatch)
        held.release(accounts)
        deadline = time.monotonic() + 5
        while not memory.currency.strict:
            assert time.monotonic() < deadline
        for count in (1, 2, 3):
            assert memory.accepts(token)
            assert held.count == count
        assert not memory.table.known
        begin = time.monotonic()
        log_out_token(accounts, token)
        assert time.monotonic() - begin < 0.2
        assert not memory.accepts(token)
    finally:
        memory.close()
        accounts.do(change_lease, 250)


def test_h14_nothing_listens_or_notifies() -> None:
    for file in SOURCE.rglob("*.py"):
        assert not re.search(r"\b(NOTIFY|LISTEN|pg_notify|add_listener)\b", file.read_text("utf-8")), file


def test_another_epoch_clears_memory(accounts: Accounts, memory: Memory, person: Person) -> None:
    token = known(memory, accounts, person)
    accounts.sql("UPDATE change_counter SET epoch = 'restored'")
    if accounts.engines.sqlite_file is None:
        time.sleep(0.3)
    accounts.run(_database_seconds(memory))
    assert not memory.table.known
    assert memory.accepts(token)


def test_a_process_that_slept_past_the_pruning_clears_its_table(accounts: Accounts, person: Person) -> None:
    memory = Memory(accounts)
    token, other = known(memory, accounts, person), accounts.log_in(person)
    memory.close()
    asleep = memory.table
    log_out_token(accounts, other)
    accounts.sql("DELETE FROM change")
    awake = Memory(accounts, keeping=False)

    async def wake() -> None:
        awake.currency._table = asleep
        if accounts.engines.sqlite_file is None:
            await awake.currency._read(0.0)
        else:
            await awake.currency.wait_current()

    accounts.run(wake())
    assert parse_token(token.encode()) is not None
    assert not asleep.known
    awake.close()


@ON_POSTGRESQL
def test_a_step_of_the_databases_clock_clears_memory(
    accounts: Accounts, memory: Memory, person: Person
) -> None:
    known(memory, accounts, person)
    memory.clock.moved -= 0.1  # within what reads differ by anyway
    accounts.run(_database_seconds(memory))
    assert memory.table.known
    memory.clock.moved += 3600  # the database's clock fell behind by an hour
    accounts.run(_database_seconds(memory))
    assert not memory.table.known


# The shared file


@ON_SQLITE
def test_h22_commits_of_every_connection_and_process_are_seen_at_once(
    accounts: Accounts, memory: Memory, database: Database, person: Person
) -> None:
    file = accounts.engines.sqlite_file
    assert file is not None
    tokens = [known(memory, accounts, person) for _ in range(3)]
    accounts.sql("DELETE FROM token WHERE id = :id", id=tokens[0][4:16])  # this process
    assert not isinstance(memory.find_nowait(tokens[0]), Known)
    script = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute(sys.argv[2])"
    )
    statement = f"DELETE FROM token WHERE id = '{tokens[1][4:16]}'"
    assert memory.accepts(tokens[1])
    subprocess.run([sys.executable, "-c", script, str(file), statement], check=True)
    assert not isinstance(memory.find_nowait(tokens[1]), Known)
    assert not memory.accepts(tokens[1])
    assert memory.accepts(tokens[2])


@ON_SQLITE
def test_h22_a_commit_between_the_header_and_the_rows_is_not_missed(
    accounts: Accounts, memory: Memory, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = known(memory, accounts, person)
    accounts.log_in(person)  # something was committed
    feed = memory.currency._feed
    real = feed.read
    raw = sqlite3.connect(str(accounts.engines.sqlite_file), isolation_level=None, check_same_thread=False)

    def with_a_commit_after_it(after: int) -> Any:
        result = real(after)
        raw.execute("DELETE FROM token WHERE id = ?", (token[4:16],))
        return result

    monkeypatch.setattr(feed, "read", with_a_commit_after_it)
    accounts.run(_wait_current(memory))
    monkeypatch.undo()
    raw.close()
    assert not isinstance(memory.find_nowait(token), Known)
    assert not memory.accepts(token)


async def _wait_current(memory: Memory) -> None:
    await memory.currency.wait_current()


@ON_SQLITE
def test_h23_a_header_that_a_commit_is_changing_never_counts_as_seen(
    accounts: Accounts, memory: Memory, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = known(memory, accounts, person)
    whole = memory.currency._header()
    torn = whole[:48] + bytes([whole[48] ^ 1]) + whole[49:]
    monkeypatch.setattr(memory.currency, "_header", lambda: torn)
    accounts.run(_wait_current(memory))
    assert isinstance(memory.find_nowait(token), TokenHeader)
    monkeypatch.undo()
    assert memory.accepts(token)


def _put_another_in_its_place(folder: Path) -> None:
    shutil.copy(folder / "nightlatch.db", folder / "copy.db")
    os.replace(folder / "copy.db", folder / "nightlatch.db")


def _take_side_files_away(folder: Path) -> None:
    """As a restore by hand does it."""
    for suffix in ("-wal", "-shm"):
        (folder / f"nightlatch.db{suffix}").unlink()


@pytest.mark.parametrize("replace", [_put_another_in_its_place, _take_side_files_away])
def test_h22_a_file_put_in_its_place_is_noticed_and_nothing_is_accepted_from_the_old_one(
    replace: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[int] = []
    monkeypatch.setattr(shared_file, "WATCH_SECONDS", 0.01)
    monkeypatch.setattr(signal, "raise_signal", ended.append)
    accounts = Accounts(f"sqlite:///{tmp_path}/nightlatch.db")
    memory = Memory(accounts)
    try:
        token = known(memory, accounts, accounts.add_person())
        replace(tmp_path)
        deadline = time.monotonic() + 5
        while not ended:
            assert time.monotonic() < deadline
        with pytest.raises(StoreUnavailable):
            memory.accepts(token)
    finally:
        memory.close()
        accounts.close()


def test_h22_a_link_to_the_file_is_the_file(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.db").symlink_to(tmp_path / "real" / "nightlatch.db")
    accounts = Accounts(f"sqlite:///{tmp_path}/link.db")
    memory = Memory(accounts)
    try:
        token = known(memory, accounts, accounts.add_person())
        log_out_token(accounts, token)
        assert not memory.accepts(token)
        assert not (tmp_path / "link.db-shm").exists()
    finally:
        memory.close()
        accounts.close()


@pytest.mark.slow
def test_h22_a_server_whose_file_was_replaced_goes_on_with_the_new_one(tmp_path: Path) -> None:
    accounts = Accounts(f"sqlite:///{tmp_path}/nightlatch.db")
    person = accounts.add_person()
    token = accounts.log_in(person)
    accounts.close()
    shutil.copy(tmp_path / "nightlatch.db", tmp_path / "copy.db")
    copy = sqlite3.connect(tmp_path / "copy.db")
    copy.execute("DELETE FROM token")
    copy.commit()
    copy.close()
    serving = Serving(f"sqlite:///{tmp_path}/nightlatch.db", tmp_path / "log").wait_ready()
    try:
        assert exchange(serving.port, "GET", "/api/auth/verify/", with_token(token)).status == 200
        for suffix in ("-wal", "-shm"):
            (tmp_path / f"copy.db{suffix}").unlink(missing_ok=True)
            (tmp_path / f"nightlatch.db{suffix}").unlink(missing_ok=True)
        os.replace(tmp_path / "copy.db", tmp_path / "nightlatch.db")
        deadline = time.monotonic() + 20
        while True:
            try:
                if exchange(serving.port, "GET", "/api/auth/verify/", with_token(token)).status == 401:
                    break
            except (OSError, IndexError):
                pass
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        serving.stop()


@pytest.mark.parametrize(
    "kind,refused",
    [("ext4", False), ("xfs", False), ("overlay", False), ("tmpfs", False), ("nfs4", True), ("9p", True),
     ("virtiofs", True), ("fuse.sshfs", True), ("cifs", True)],
)  # fmt: skip
def test_h24_a_file_system_that_others_may_share_is_refused(kind: str, refused: bool) -> None:
    mounts = (
        "22 1 254:0 / / rw,relatime - ext4 /dev/root rw\n"
        f"30 22 0:27 / /srv/a\\040b rw - {kind} server:/export rw\n"
    )
    assert file_system(Path("/srv/nightlatch.db"), mounts) == "ext4"
    found = file_system(Path("/srv/a b/nightlatch.db"), mounts)
    assert found == kind
    assert bool(NOT_LOCAL.fullmatch(found)) is refused


def test_h24_the_refusal_names_the_setting_and_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nightlatch.store.file_system.file_system", lambda *_: "nfs4")
    with pytest.raises(CannotStart, match=r"NIGHTLATCH_DATABASE_URL.*nfs4.*PostgreSQL"):
        open_engines(f"sqlite:///{tmp_path}/x.db")
    assert not (tmp_path / "x.db").exists()


def test_h24_the_database_files_are_opened_in_known_places_only() -> None:
    opening = {
        str(file.relative_to(SOURCE))
        for file in SOURCE.rglob("*.py")
        if re.search(r"os\.open\(|sqlite3\.connect\(|mmap\.mmap\(", file.read_text("utf-8"))
    }
    assert opening == {
        "cli/main.py",  # /dev/null
        "cli/output.py",  # /dev/null
        "guard/hash_share.py",  # lock files of its own
        "store/changes.py",
        "store/checkpoint.py",  # a lock file of its own
        "store/django_database.py",  # what is imported from, in a command's process
        "store/engine.py",  # creates the file, before SQLite opens it
        "store/in_use.py",  # a lock file of its own
        "store/sqlite_copy.py",  # in a command's process, for backup and restore
        "store/sqlite_file.py",
        "store/wal_index.py",  # never closed
    }


def test_h35_changes_are_applied_and_trusted_in_one_synchronous_step() -> None:
    text = (SOURCE / "fresh" / "lease.py").read_text("utf-8")
    body = text[text.index("    def _trust") : text.index("    async def _pause")]
    assert "await" not in body
    assert "await" not in (SOURCE / "hot" / "table.py").read_text("utf-8")
    assert "await" not in (SOURCE / "hot" / "lookup.py").read_text("utf-8").split('"""', 2)[2]
