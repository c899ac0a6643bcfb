"""While strangers guess, their hashes take a share of the node's processors, and nobody else's do."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from nightlatch.guard import hash_share
from nightlatch.guard.hash_share import HashShare
from nightlatch.guard.passwords import Passwords
from nightlatch.model.errors import Overloaded

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
    made: list[HashShare] = []

    def make(slots: int) -> HashShare:
        made.append(HashShare(tmp_path, slots))
        return made[-1]

    yield make
    for each in made:
        each.close()


def run(work: Coroutine[Any, Any, Any]) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(20):
            return await work

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
    own = share(1)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"taken\n"
        holder.send_signal(signal.SIGSTOP)
        monkeypatch.setattr(hash_share, "PATIENCE_SECONDS", 2 * hash_share.POLL_SECONDS)
        assert run(own.take()) is None
        holder.kill()
        holder.wait()
    assert run(own.take()) == 0


def passwords(share: HashShare, wait_seconds: float = 10.0) -> Passwords:
    return Passwords(
        memory_kib=8, time_cost=1, parallelism=1, threads=2, wait_seconds=wait_seconds, share=share
    )


async def guess(hasher: Passwords, times: int) -> None:
    for _ in range(times):
        assert not await hasher.matches("a wrong password", None)


async def is_held_up(waiting: "asyncio.Task[bool]") -> bool:
    """Whether it still waits after what is not held up would long have been answered."""
    done, _ = await asyncio.wait([waiting], timeout=1.0)
    return not done


def test_strangers_share_slots_only_while_most_of_what_they_show_is_wrong(
    share: Callable[[int], HashShare], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hash_share, "PATIENCE_SECONDS", 30.0)
    one, other = share(1), share(1)

    async def seen() -> list[bool]:
        hasher = passwords(one)
        slot = await other.take()
        held_up = []
        try:
            stored = await hasher.hash("a password")
            await guess(hasher, 1)
            guessing = asyncio.create_task(hasher.matches("a wrong password", None))
            held_up.append(await is_held_up(guessing))
            known = asyncio.create_task(hasher.matches("a password", stored, preferred=True))
            held_up.append(await is_held_up(known))
            other.give_back(slot)
            await guessing
            for _ in range(2):
                assert await hasher.matches("a password", stored)
            slot = await other.take()
            stranger = asyncio.create_task(hasher.matches("a password", stored))
            held_up.append(await is_held_up(stranger))
            return held_up
        finally:
            other.give_back(slot)
            hasher.close()

    assert run(seen()) == [True, False, False]


def test_a_crowd_that_waits_behind_a_guess_shares_nothing_once_its_passwords_are_right(
    share: Callable[[int], HashShare], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hash_share, "PATIENCE_SECONDS", 30.0)
    one, other = share(1), share(1)

    async def crowd() -> list[bool]:
        hasher = passwords(one)
        try:
            stored = await hasher.hash("a password")
            await guess(hasher, 1)
            slot = await other.take()
            all_at_once = [asyncio.create_task(hasher.matches("a password", stored)) for _ in range(20)]
            assert await is_held_up(all_at_once[0])
            other.give_back(slot)
            # Whoever was first in the queue by then had its slot to wait for.
            await asyncio.gather(*all_at_once[:5])
            await other.take()
            return await asyncio.gather(*all_at_once)
        finally:
            hasher.close()

    assert run(crowd()) == [True] * 20


def test_a_slot_comes_back_whatever_becomes_of_the_attempt(share: Callable[[int], HashShare]) -> None:
    class RefusedError(Exception):
        pass

    async def refuse() -> None:
        raise RefusedError

    async def attempts() -> None:
        own = share(1)
        hasher = passwords(own)
        try:
            await guess(hasher, 1)
            with pytest.raises(RefusedError):
                await hasher.matches("a wrong password", None, refuse)
            gone = asyncio.create_task(hasher.matches("a wrong password", None))
            await asyncio.sleep(0)
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)
            await guess(hasher, 1)
        finally:
            hasher.close()
        assert await share(1).take() == 0

    run(attempts())


def test_what_cannot_have_a_slot_in_time_is_turned_away(
    share: Callable[[int], HashShare], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hash_share, "PATIENCE_SECONDS", 30.0)
    other = share(1)

    async def outcome() -> None:
        hasher = passwords(share(1), wait_seconds=0.2)
        try:
            await guess(hasher, 1)
            await other.take()
            for _ in range(10):  # more often than there are turns
                with pytest.raises(Overloaded):
                    await hasher.matches("a wrong password", None)
            other.give_back(0)
            await guess(hasher, 20)  # no turn was lost
        finally:
            hasher.close()

    run(outcome())
