"""Threads that hash, and hand over what is done several at a time.

A hash overwrites the processor's caches. What a request does before and after its own then costs twice
what it costs on its own, unless other requests do the same right before and after it: as long as there is
more to hash, results wait for each other (cohort scheduling: Larus and Parkes, USENIX 2002).
"""

import asyncio
import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar

from nightlatch.guard.too_many_logins import too_many_logins
from nightlatch.model.errors import Overloaded
from nightlatch.spans import NO_SPANS, Part, Spans

NICENESS: Final = 10
TOGETHER_MAX: Final = 4
"""Results that are handed over at once."""
TOGETHER_SECONDS: Final = 0.06
"""How long the first of them may have to wait, as far as can be told from how long the last hash took."""
LAST_HASHES: Final = 8
"""Of the last so many, the quickest tells how long a hash takes at least."""

_Result = TypeVar("_Result")


def _give_way_to_requests() -> None:
    """A hash takes a processor for 20 ms, a request for some microseconds: it comes first.

    Linux has a priority for each thread; a request gets nine tenths of a processor that both want.
    """
    niceness = os.getpriority(os.PRIO_PROCESS, 0) + NICENESS
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)


class HashThreads:
    """Runs work on so many threads; work that has not begun within `wait_seconds` is refused.

    So is, at once, what comes when more is waiting than is done in that time.
    """

    def __init__(self, threads: int, wait_seconds: float, spans: Spans = NO_SPANS) -> None:
        self.threads: Final = threads
        self.pending = 0
        self.hashed = 0
        self._wait_seconds = wait_seconds
        self._spans = spans
        # Enough that no thread waits for the loop: what is being hashed, one more for each thread,
        # and what is done and has not been handed over.
        self._turns = asyncio.Semaphore(2 * threads + TOGETHER_MAX)
        # Whoever is not preferred waits here first, and one at a time for a turn.
        self._door = asyncio.Lock()
        self._waiting = 0
        self._last_seconds: deque[float] = deque(maxlen=LAST_HASHES)
        # How long whoever was done aside was first at the door.
        self._aside_seconds: deque[float] = deque(maxlen=LAST_HASHES)
        self._pool = ThreadPoolExecutor(
            threads, thread_name_prefix="password-hash", initializer=_give_way_to_requests
        )
        self._lock = threading.Lock()
        self._under_way = 0
        self._done: list[tuple[asyncio.Future[Any], Future[Any]]] = []
        self._first_done = 0.0

    async def run(
        self,
        work: Callable[[], _Result],
        begin: Callable[[], Awaitable[None]] | None = None,
        preferred: bool = False,
        aside: Callable[[], Callable[[], Awaitable[_Result]] | None] = lambda: None,
    ) -> _Result:
        """The result of the work. Raises Overloaded when its turn does not come in time.

        When it has its turn, `begin` is awaited first: what it raises is raised, and the work not done.
        With `preferred` it waits behind one at most that is not. Without, it is asked when it comes first
        whether it is to be done `aside`: then it is what is awaited there, alone and within the same time.
        """
        self.pending += 1
        try:
            with self._spans.part("wait for hash") as part:
                return await self._run(work, begin, preferred, aside, part)
        finally:
            self.pending -= 1

    async def _run(
        self,
        work: Callable[[], _Result],
        begin: Callable[[], Awaitable[None]] | None,
        preferred: bool,
        aside: Callable[[], Callable[[], Awaitable[_Result]] | None],
        part: Part,
    ) -> _Result:
        until = time.monotonic() + self._wait_seconds
        if not preferred and self.is_full(aside() is not None):
            raise self.overloaded()
        self._waiting += not preferred
        try:
            async with asyncio.timeout(self._wait_seconds):
                if preferred:
                    await self._turns.acquire()
                else:
                    async with self._door:
                        begun = time.monotonic()
                        await self._turns.acquire()
                        if (instead := aside()) is not None:
                            self._turns.release()
                            part.next("hash")
                            result = await instead()
                            self.hashed += 1
                            self._aside_seconds.append(time.monotonic() - begun)
                            return result
        except TimeoutError:
            raise self.overloaded() from None
        finally:
            self._waiting -= not preferred
        try:
            if begin is not None:
                await begin()
        except BaseException:
            self._turns.release()
            raise
        waiting: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()

        def in_time() -> tuple[_Result, float]:
            begun = time.monotonic()
            if begun > until or waiting.cancelled():
                raise self.overloaded()
            part.next("hash")
            try:
                return work(), time.monotonic() - begun
            finally:
                part.end()

        with self._lock:
            self._under_way += 1
        self._pool.submit(in_time).add_done_callback(lambda done: self._finish(waiting, done))
        return await waiting

    def is_full(self, aside: bool) -> bool:
        """Whether what comes now, if it is not preferred, cannot have its turn in time."""
        seconds = min(self._last_seconds, default=0.0) / self.threads
        if aside and self._aside_seconds:
            seconds = max(seconds, sum(self._aside_seconds) / len(self._aside_seconds))
        return self._waiting * seconds > self._wait_seconds

    def overloaded(self) -> Overloaded:
        """What whoever cannot have their turn in time is told."""
        return too_many_logins(f"no turn to hash within {self._wait_seconds} s")

    def close(self) -> None:
        """Let the threads end; what is under way is finished, what waits for a thread is cancelled."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _finish(self, waiting: asyncio.Future[Any], done: Future[Any]) -> None:
        # In the thread that has done it.
        with self._lock:
            self._under_way -= 1
            self.hashed += not done.cancelled() and done.exception() is None
            now = time.monotonic()
            if not self._done:
                self._first_done = now
            self._done.append((waiting, done))
            failed = done.cancelled() or done.exception() is not None
            next_seconds = 0.0 if failed else done.result()[1]
            if not failed:
                self._last_seconds.append(next_seconds)
            due = (
                # A thread without work is reason enough: with one login at a time nothing ever waits.
                self._under_way < self.threads
                or len(self._done) >= TOGETHER_MAX
                or now - self._first_done + next_seconds > TOGETHER_SECONDS
            )
        if due:
            waiting.get_loop().call_soon_threadsafe(self._hand_over)

    def _hand_over(self) -> None:
        with self._lock:
            finished, self._done = self._done, []
        for waiting, done in finished:
            # A turn ends with the thread's work, even if whoever waited for it has gone.
            self._turns.release()
            if waiting.cancelled():
                continue
            if done.cancelled():
                waiting.cancel()
            elif (error := done.exception()) is not None:
                waiting.set_exception(error)
            else:
                waiting.set_result(done.result()[0])
