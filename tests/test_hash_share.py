"""While strangers guess, their hashes take a share of the node's processors, and nobody else's do."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from nightlatch.guard import hash_share, idle_hasher
from nightlatch.guard.hash_share import LAST_SHOWN, HashShare
from nightlatch.guard.passwords import Passwords
from nightlatch.model.errors import Overloaded
from tests.accounts import Accounts
from tests.crowd import exchange_at_once, login_request
from tests.processes import children_of, ends
from tests.serving import Serving

HOLD = """
import asyncio, sys
from pathlib import Path
from nightlatch.guard.hash_share import HashShare

share = HashShare(Path(sys.argv[1]), 1)
assert asyncio.run(share.take()) == 0
print("taken", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def share(tmp_path: Path) -> Iterator[Callable[[int], HashShare]]:
    """Each call makes what another process of the node has: it opens the files for itself."""

    def make(slots: int) -> HashShare:
        made.append(HashShare(tmp_path, slots))
        return made[-1]

    made.clear()
    yield make
    assert not made, "run() closes them, where they are used"


made: list[HashShare] = []


def run(work: Coroutine[Any, Any, Any]) -> Any:
    async def bounded() -> Any:
        try:
            async with asyncio.timeout(20):
                return await work
        finally:
            while made:
                await made.pop().close()

    return asyncio.run(bounded())


def test_all_processes_together_have_so_many_slots_and_no_more(
    share: Callable[[int], HashShare], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = share(3), share(3)

    async def taken() -> tuple[list[int | None], bool]:
        slots = [await each.take() for each in (one, other, one)]
        monkeypatch.setattr(hash_share, "PATIENCE_SECONDS", 2 * hash_share.POLL_SECONDS)
        slots += [await one.take(), await other.take()]
        other.give_back(slots[1])
        return slots, await one.take() == slots[1]

    slots, again = run(taken())
    assert (set(slots[:3]), slots[3:], again) == ({0, 1, 2}, [None, None], True)


def test_whoever_waits_gets_the_slot_that_another_process_gives_back(
    share: Callable[[int], HashShare],
) -> None:
    one, other = share(1), share(1)

    async def handed_over() -> int | None:
        slot = await one.take()
        waiting = asyncio.create_task(other.take())
        await asyncio.sleep(0)
        assert not waiting.done()
        await asyncio.to_thread(one.give_back, slot)
        return await waiting

    assert run(handed_over()) == 0


def test_a_process_that_is_killed_gives_its_slot_back_and_one_that_is_stopped_is_not_waited_for(
    share: Callable[[int], HashShare], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def seen() -> tuple[int | None, int | None]:
        own = share(1)
        with subprocess.Popen(
            [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"taken\n"
            holder.send_signal(signal.SIGSTOP)
            monkeypatch.setattr(hash_share, "PATIENCE_SECONDS", 2 * hash_share.POLL_SECONDS)
            stopped = await own.take()
            holder.kill()
            holder.wait()
        return stopped, await own.take()

    assert run(seen()) == (None, 0)


@contextmanager
def passwords(share: HashShare, wait_seconds: float = 10.0) -> Iterator[Passwords]:
    hasher = Passwords(
        memory_kib=8, time_cost=1, parallelism=1, threads=2, wait_seconds=wait_seconds, share=share
    )
    try:
        yield hasher
    finally:
        hasher.close()


async def guess(hasher: Passwords, times: int) -> None:
    for _ in range(times):
        assert not await hasher.matches("a wrong password", None)


async def is_held_up(hasher: Passwords, stored: str, asked: "asyncio.Task[bool]") -> bool:
    """Whether people at home, who come later and are not held up, are let in first, time and again."""
    for _ in range(20):
        assert await hasher.matches("a password", stored, preferred=True)
    return not asked.done()


def test_strangers_share_slots_only_while_most_of_what_they_show_is_wrong(
    share: Callable[[int], HashShare], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hash_share, "PATIENCE_SECONDS", 30.0)
    one, other = share(1), share(1)

    async def seen() -> None:
        with passwords(one) as hasher:
            stored = await hasher.hash("a password")
            slot = await other.take()
            await guess(hasher, 1)
            guessing = asyncio.create_task(hasher.matches("a wrong password", None))
            assert await is_held_up(hasher, stored, guessing)
            other.give_back(slot)
            assert not await guessing
            for _ in range(2):
                assert await hasher.matches("a password", stored)
            await other.take()
            assert await hasher.matches("a password", stored)

    run(seen())


def test_a_crowd_that_waits_behind_a_guess_shares_nothing_once_its_passwords_are_right(
    share: Callable[[int], HashShare], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hash_share, "PATIENCE_SECONDS", 30.0)
    one, other = share(1), share(1)

    async def crowd() -> None:
        with passwords(one) as hasher:
            stored = await hasher.hash("a password")
            await guess(hasher, 1)
            slot = await other.take()
            all_at_once = [asyncio.create_task(hasher.matches("a password", stored)) for _ in range(20)]
            assert await is_held_up(hasher, stored, all_at_once[0])
            other.give_back(slot)
            # Whoever was first in the queue by then had its slot to wait for.
            await asyncio.gather(*all_at_once[:5])
            await other.take()
            assert all(await asyncio.gather(*all_at_once))

    run(crowd())


def test_who_would_wait_too_long_for_a_slot_is_turned_away_at_once(
    share: Callable[[int], HashShare], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hash_share, "PATIENCE_SECONDS", 30.0)
    one, other = share(1), share(1)

    async def flood() -> None:
        with passwords(one, wait_seconds=10.0) as hasher:
            await guess(hasher, 1)
            slot = await other.take()
            # As if the last one had taken a second with its slot: ten take ten seconds.
            hasher._threads._aside_seconds.append(1.0)
            waiting = [asyncio.create_task(hasher.matches("a wrong password", None)) for _ in range(11)]
            await asyncio.sleep(0)
            with pytest.raises(Overloaded):
                await hasher.matches("a wrong password", None)
            assert not any(task.done() for task in waiting)
            other.give_back(slot)
            assert not any(await asyncio.gather(*waiting))

    run(flood())


def test_a_slot_rests_after_a_hash_before_the_next_one_has_it(
    share: Callable[[int], HashShare], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hash_share, "RESTS", 1e6)

    async def seen() -> tuple[int | None, int | None]:
        one, other = share(1), share(1)
        assert not await one.matches("a wrong password", "", None)
        with monkeypatch.context() as impatient:
            impatient.setattr(hash_share, "PATIENCE_SECONDS", 2 * hash_share.POLL_SECONDS)
            resting = await other.take()
        monkeypatch.setattr(hash_share, "PATIENCE_SECONDS", 10.0)
        return resting, await other.take()

    assert run(seen()) == (None, 0)


def test_whoever_has_gone_leaves_the_slot_to_their_hash_until_it_is_done(
    share: Callable[[int], HashShare], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = share(1), share(1)
    monkeypatch.setattr(hash_share, "RESTS", 0.0)

    async def seen() -> tuple[int | None, int | None]:
        assert not await one.matches("a wrong password", "", None)
        pid = one._hasher._process.pid  # type: ignore[union-attr]
        os.kill(pid, signal.SIGSTOP)
        gone = asyncio.create_task(one.matches("a wrong password", "", None))
        while not one._under_way:
            await asyncio.sleep(0)
        gone.cancel()
        with monkeypatch.context() as impatient:
            impatient.setattr(hash_share, "PATIENCE_SECONDS", 2 * hash_share.POLL_SECONDS)
            meanwhile = await other.take()
        os.kill(pid, signal.SIGCONT)
        return meanwhile, await other.take()

    assert run(seen()) == (None, 0)


def test_where_no_process_can_hash_one_stranger_is_turned_away_and_threads_hash_for_the_next(
    share: Callable[[int], HashShare], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idle_hasher, "_COMMAND", ("/nowhere/python",))
    own = share(1)

    async def outcome() -> None:
        with passwords(own) as hasher:
            stored = await hasher.hash("a password")
            for _ in range(LAST_SHOWN):
                own.note(matched=False)
            with pytest.raises(Overloaded):
                await hasher.matches("a password", stored)
            assert await hasher.matches("a password", stored)

    run(outcome())


def test_a_hash_that_the_processor_never_gets_to_shuts_a_crowd_of_strangers_out_for_its_time_only(
    share: Callable[[int], HashShare], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hash_share, "HASH_SECONDS_MAX", 1.0)
    own = share(1)

    async def outcome() -> None:
        with passwords(own, wait_seconds=0.3) as hasher:
            stored = await hasher.hash("a password")
            assert not await own.matches("a wrong password", "", None)  # so that there is a process
            os.kill(own._hasher._process.pid, signal.SIGSTOP)  # type: ignore[union-attr]
            for _ in range(LAST_SHOWN):
                own.note(matched=False)
            begun = time.monotonic()
            crowd: set[asyncio.Task[bool]] = set()
            # Each waits for less long than the hash may take, and somebody always waits.
            while not any(task.done() and task.exception() is None for task in crowd):
                assert time.monotonic() - begun < 10
                crowd.add(asyncio.create_task(hasher.matches("a password", stored)))
                await asyncio.sleep(0.05)  # how fast the crowd comes, while the process stands still
                assert await hasher.matches("a password", stored, preferred=True)
            outcomes = await asyncio.gather(*crowd, return_exceptions=True)
            assert Overloaded in {type(each) for each in outcomes}

    run(outcome())


def test_a_slot_comes_back_whatever_becomes_of_the_attempt(share: Callable[[int], HashShare]) -> None:
    class RefusedError(Exception):
        pass

    async def refuse() -> None:
        raise RefusedError

    async def attempts() -> None:
        with passwords(share(1)) as hasher:
            await guess(hasher, 1)
            with pytest.raises(RefusedError):
                await hasher.matches("a wrong password", None, refuse)
            gone = asyncio.create_task(hasher.matches("a wrong password", None))
            await asyncio.sleep(0)
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)
            await guess(hasher, 1)
        assert await share(1).take() == 0

    run(attempts())


def test_what_cannot_have_a_slot_in_time_is_turned_away_and_loses_no_turn(
    share: Callable[[int], HashShare], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hash_share, "PATIENCE_SECONDS", 30.0)
    monkeypatch.setattr(hash_share, "RESTS", 0.0)
    own, other = share(1), share(1)

    async def outcome() -> None:
        assert not await own.matches("a wrong password", "", None)  # so that there is a process
        with passwords(own, wait_seconds=1.0) as hasher:
            await guess(hasher, 1)
            slot = await other.take()
            refused = [hasher.matches("a wrong password", None) for _ in range(10)]  # more than turns
            outcomes = await asyncio.gather(*refused, return_exceptions=True)
            assert {type(each) for each in outcomes} == {Overloaded}
            other.give_back(slot)
            await guess(hasher, 10)

    run(outcome())


def slots_open(pid: int) -> list[str]:
    """The slots' files that a process has open; what else it has open may be closed meanwhile."""
    paths = []
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            paths.append(os.readlink(file))
    return sorted(path for path in paths if "/hash-slot-" in path)


@pytest.mark.slow
def test_all_workers_of_a_server_share_the_same_slots_for_half_of_the_cores(tmp_path: Path) -> None:
    Accounts(f"sqlite:///{tmp_path}/nightlatch.db").close()
    serving = Serving(f"sqlite:///{tmp_path}/nightlatch.db", tmp_path / "log", workers=3)
    try:
        serving.wait_ready(60)
        until = time.monotonic() + 60
        opened: list[list[str]] = []
        while len(opened) < 3 or not all(opened):
            assert time.monotonic() < until
            time.sleep(0.05)  # looked again: the first worker that is ready answers for all
            opened = [slots_open(pid) for pid in serving.worker_pids()]
    finally:
        serving.stop()
    assert len(opened[0]) == max(1, len(os.sched_getaffinity(0)) // 2)
    assert opened == [opened[0]] * 3


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_server_hashes_for_guessing_strangers_in_an_idle_process_that_ends_with_it(
    tmp_path: Path, how: signal.Signals
) -> None:
    Accounts(f"sqlite:///{tmp_path}/nightlatch.db").close()
    serving = Serving(f"sqlite:///{tmp_path}/nightlatch.db", tmp_path / "log").wait_ready(60)
    (worker,) = serving.worker_pids()
    try:
        nobody = {"username": "nobody", "password": "a password", "organization_id": "zzzzzz"}
        assert children_of(worker) == []
        for _ in range(3):
            (reply,) = exchange_at_once(serving.port, [login_request(nobody)])
            assert reply is not None
            assert reply.status == 400
        (hasher,) = children_of(worker)
        assert os.sched_getscheduler(hasher) == os.SCHED_IDLE
        if how == signal.SIGKILL:
            os.kill(worker, how)
    finally:
        serving.stop()
    assert ends(hasher)
    assert "Traceback" not in (tmp_path / "log").read_text()
