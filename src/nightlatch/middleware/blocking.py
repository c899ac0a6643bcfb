"""A back end for synchronous frameworks: on an event loop in a thread of its own, one in each process.

It is opened by the first question, so after a server has forked its workers, and closed at exit.
"""

import asyncio
import atexit
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from nightlatch.middleware.asking import Asking
from nightlatch.middleware.caller import Caller
from nightlatch.middleware.question import BackEnd, Question
from nightlatch.middleware.refusal import unknown

ANSWER_SECONDS_MAX: Final = 15.0
"""Longer than either back end takes: only for a loop that does not run."""
CLOSE_SECONDS_MAX: Final = 10.0


@dataclass(frozen=True, slots=True)
class _Running:
    process: int
    loop: asyncio.AbstractEventLoop
    thread: threading.Thread
    asking: Asking


class Blocking:
    """Asks a back end from any thread; the answer is true for a moment after the call."""

    def __init__(self, back_end: BackEnd) -> None:
        self._back_end = back_end
        self._running: _Running | None = None
        self._not_ours: _Running | None = None
        self._starting = threading.Lock()
        os.register_at_fork(after_in_child=self._start_anew)

    def ask(self, question: Question) -> Caller:
        """Who makes the request. Raises Refusal."""
        running = self._running or self._start()
        try:
            future = asyncio.run_coroutine_threadsafe(running.asking.ask(question), running.loop)
        except RuntimeError:  # the process is ending
            raise unknown() from None
        return _result(future)

    def close(self) -> None:
        """Close the back end and end the thread."""
        with self._starting:
            running, self._running = self._running, None
        if running is None or running.process != os.getpid():
            return
        closed = asyncio.run_coroutine_threadsafe(running.asking.close(), running.loop)
        try:
            closed.result(CLOSE_SECONDS_MAX)
        finally:
            running.loop.call_soon_threadsafe(running.loop.stop)
            running.thread.join(CLOSE_SECONDS_MAX)
            if not running.thread.is_alive():
                running.loop.close()

    def _start(self) -> _Running:
        with self._starting:
            if self._running is None:
                loop = asyncio.new_event_loop()
                # A daemon, since others are waited for at exit, and this one ends only when it is told to.
                thread = threading.Thread(target=loop.run_forever, name="nightlatch", daemon=True)
                thread.start()
                self._running = _Running(os.getpid(), loop, thread, Asking(self._back_end))
                _at_exit(self.close)
            return self._running

    def _start_anew(self) -> None:
        """In a forked process there is no such thread, and the lock may be held by one that is gone.

        What was opened is the other process's. It is kept, since to be collected would mean to be closed.
        """
        self._not_ours = self._running or self._not_ours
        self._running = None
        self._starting = threading.Lock()


def _at_exit(close: Callable[[], None]) -> None:
    """Call it before executors are shut down, which closing the database needs: earlier than atexit does."""
    register = getattr(threading, "_register_atexit", atexit.register)
    with suppress(RuntimeError):  # it is the end already
        register(close)


def _result(future: "Future[Caller]") -> Caller:
    try:
        return future.result(ANSWER_SECONDS_MAX)
    except TimeoutError:
        future.cancel()
        raise unknown() from None
