"""Waiting for a turn to be hashed is bounded by time, not by a number in one burst."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from nightlatch.guard.hash_threads import TOGETHER_MAX, TOGETHER_SECONDS, HashThreads
from nightlatch.guard.passwords import Passwords
from nightlatch.model.errors import Overloaded
from tests.accounts import Accounts, Person
from tests.conftest import Database
from tests.crowd import exchange_at_once, login_request
from tests.serving import Serving

# With one thread: one is hashed, one is next, and as many may wait to be handed over together.
TURNS = 2 + TOGETHER_MAX


def passwords(**changed: float) -> Passwords:
    settings = {"memory_kib": 8, "time_cost": 1, "parallelism": 1, "threads": 2, "wait_seconds": 10.0}
    return Passwords(**{**settings, **changed})  # type: ignore[arg-type]


def test_a_burst_beyond_capacity_waits_and_none_is_turned_away_before_its_time() -> None:
    async def burst() -> list[bool]:
        hasher = passwords()
        stored = await hasher.hash("a password")
        try:
            return await asyncio.gather(*(hasher.matches("a password", stored) for _ in range(2000)))
        finally:
            hasher.close()

    assert asyncio.run(burst()) == [True] * 2000


@pytest.mark.slow
def test_who_waits_longer_than_the_limit_is_overloaded() -> None:
    async def burst() -> list[bool | BaseException]:
        hasher = passwords(memory_kib=65536, time_cost=8, threads=1, wait_seconds=0.05)
        try:
            return await asyncio.gather(
                *(hasher.matches("a password", None) for _ in range(TURNS + 2)), return_exceptions=True
            )
        finally:
            hasher.close()

    results = asyncio.run(burst())
    # One is hashed; none of the others may begin later than the limit, though some have had their turn.
    assert results[0] is False
    assert [type(result) for result in results[1:]] == [Overloaded] * (TURNS + 1)


def test_slow_hashes_wait_for_no_others() -> None:
    async def order() -> list[int]:
        threads = HashThreads(1, 10.0)
        begun = 0

        def work() -> None:
            nonlocal begun
            begun += 1
            time.sleep(2 * TOGETHER_SECONDS)  # the work itself: how long it takes is what is measured

        async def seen() -> int:
            await threads.run(work)
            return begun

        try:
            return await asyncio.gather(*(seen() for _ in range(TOGETHER_MAX)))
        finally:
            threads.close()

    # Each was handed over while the next one was hashed, before the one after that had begun.
    assert all(seen <= place + 2 for place, seen in enumerate(asyncio.run(order())))


def test_who_has_gone_is_not_hashed_for() -> None:
    async def count() -> int:
        threads = HashThreads(1, 10.0)
        hashed = 0
        begun, all_gone = threading.Event(), threading.Event()

        def work() -> None:
            nonlocal hashed
            hashed += 1
            begun.set()
            all_gone.wait(10)

        try:
            tasks = [asyncio.create_task(threads.run(work)) for _ in range(TURNS)]
            await asyncio.to_thread(begun.wait, 10)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            all_gone.set()
            await threads.run(work)
            return hashed
        finally:
            threads.close()

    assert asyncio.run(count()) == 2


def test_who_is_preferred_waits_for_no_queue() -> None:
    async def order() -> list[str]:
        threads = HashThreads(1, 10.0)
        hashed: list[str] = []

        async def one(name: str) -> None:
            await threads.run(lambda: hashed.append(name), preferred=name == "preferred")

        try:
            others = [asyncio.create_task(one("other")) for _ in range(50)]
            await asyncio.sleep(0)
            await one("preferred")
            await asyncio.gather(*others)
            return hashed
        finally:
            threads.close()

    assert asyncio.run(order()).index("preferred") <= TURNS + 1


def test_who_is_refused_at_their_turn_is_not_hashed_for_and_gives_it_back() -> None:
    class RefusedError(Exception):
        pass

    async def refuse() -> None:
        raise RefusedError

    async def outcomes() -> list[Any]:
        threads = HashThreads(1, 10.0)
        hashed: list[int] = []
        try:
            refused = [threads.run(lambda: hashed.append(1), refuse) for _ in range(3 * TURNS)]
            results = await asyncio.gather(*refused, return_exceptions=True)
            await threads.run(lambda: hashed.append(2))
            return [*{type(result) for result in results}, *hashed]
        finally:
            threads.close()

    assert asyncio.run(outcomes()) == [RefusedError, 2]


def test_what_cannot_be_hashed_in_time_is_turned_away_at_once() -> None:
    async def outcomes() -> list[Any]:
        threads = HashThreads(1, 0.5)
        try:
            for _ in range(30):
                await threads.run(lambda: time.sleep(0.01))  # how long the work takes is what is learned
            waiting = [asyncio.create_task(threads.run(lambda: time.sleep(0.01))) for _ in range(500)]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            at_once = [task.exception() for task in waiting if task.done()]
            await asyncio.gather(*waiting, return_exceptions=True)
            return at_once
        finally:
            threads.close()

    at_once = asyncio.run(outcomes())
    assert len(at_once) > 300
    assert {type(error) for error in at_once} == {Overloaded}


def test_results_are_handed_over_together_only_while_there_is_more_to_hash() -> None:
    async def order() -> list[int]:
        threads = HashThreads(1, 10.0)
        begun = 0

        def work() -> int:
            nonlocal begun
            begun += 1
            return begun

        async def seen() -> int:
            await threads.run(work)
            return begun

        try:
            alone = await seen()
            together = await asyncio.gather(*(seen() for _ in range(2 * TOGETHER_MAX + 1)))
            return [alone, *together]
        finally:
            threads.close()

    alone, *together = asyncio.run(order())
    assert alone == 1
    # Each saw at least what was handed over with it, and the last one was kept waiting by nobody.
    assert all(count >= TOGETHER_MAX for count in together)
    assert together[-1] == 2 * TOGETHER_MAX + 2


def test_a_request_given_up_frees_its_turn_only_when_its_hash_is_done() -> None:
    async def give_up() -> bool:
        hasher = passwords(threads=1)
        task = asyncio.create_task(hasher.matches("a password", None))
        await asyncio.sleep(0)
        task.cancel()
        try:
            return await hasher.matches("a password", await hasher.hash("a password"))
        finally:
            hasher.close()

    assert asyncio.run(give_up())


@contextmanager
def no_room_for_strangers(accounts: Accounts) -> Iterator[None]:
    """As if a thousand million of them waited already."""
    threads = accounts.services.passwords._threads
    threads._waiting += 10**9
    try:
        yield
    finally:
        threads._waiting -= 10**9


@pytest.mark.parametrize("home", ["198.51.100.7", "2001:db8:0:7::1"])
def test_when_strangers_are_turned_away_at_once_people_at_home_are_let_in(
    accounts: Accounts, home: str
) -> None:
    person, other = accounts.add_person(), accounts.add_person()
    accounts.log_in(person, address=home)
    with no_room_for_strangers(accounts):
        accounts.log_in(person, address=home)
        for stranger, address in (
            (person, "198.51.100.8"),
            (person, "2001:db8:0:8::1"),
            (other, home),  # somebody is known from there, and it is somebody else
            (Person("zzzzzz", "nobody@example.com"), "198.51.100.8"),
        ):
            with pytest.raises(Overloaded):
                accounts.log_in(stranger, address=address)
    accounts.log_in(other, address=home)


@pytest.mark.slow
def test_an_overloaded_server_answers_503_with_retry_after(
    database: Database, accounts: Accounts, tmp_path_factory: pytest.TempPathFactory
) -> None:
    serving = Serving(
        database.url,
        tmp_path_factory.mktemp("server") / "log",
        password_hash_memory_kib=32768,
        password_hash_time_cost=4,
        password_hash_threads=1,
        password_hash_wait_seconds=0.3,
    ).wait_ready()
    try:
        person = accounts.add_person()
        begin = time.monotonic()
        replies = exchange_at_once(serving.port, [login_request(person.login_body)] * 60)
        assert time.monotonic() - begin < 5
        refused = [reply for reply in replies if reply is not None and reply.status == 503]
        assert len(refused) > 30
        assert {reply.headers["retry-after"] for reply in refused} == {"5"}
        assert {reply.status for reply in replies if reply is not None} == {200, 503}
    finally:
        serving.stop()


@pytest.mark.parametrize("length", [1, 15, 64, 1024])
def test_every_character_of_a_password_counts(length: int) -> None:
    async def compare() -> tuple[bool, bool]:
        hasher = passwords()
        stored = await hasher.hash("x" * length)
        try:
            return await hasher.matches("x" * length, stored), await hasher.matches(
                "x" * (length - 1) + "y", stored
            )
        finally:
            hasher.close()

    assert asyncio.run(compare()) == (True, False)


@pytest.mark.parametrize(
    ("typed", "stored", "same"),
    [
        ("pass\u00e9", "passe\u0301", True),
        ("\uff50assword", "password", True),
        ("Password", "password", False),
        (" password", "password", False),
    ],
)
def test_passwords_are_compared_in_nfkc(typed: str, stored: str, same: bool) -> None:
    async def compare() -> bool:
        hasher = passwords()
        try:
            return await hasher.matches(typed, await hasher.hash(stored))
        finally:
            hasher.close()

    assert asyncio.run(compare()) is same
