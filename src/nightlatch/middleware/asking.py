"""A back end that is open on the event loop of whoever asks: from the start, or the first question."""

import asyncio
import logging
import threading
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from nightlatch.middleware.caller import Caller
from nightlatch.middleware.question import Ask, BackEnd, Question
from nightlatch.middleware.refusal import unknown
from nightlatch.model.errors import NightlatchError, Unavailable

_log = logging.getLogger("nightlatch.middleware")


@dataclass(slots=True)
class _OnLoop:
    """The back end on one event loop. `ask` is there when it is open."""

    opening: "asyncio.Future[Ask]"
    ask: Ask | None = None
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    task: "asyncio.Task[None] | None" = None


class Asking:
    """Asks a back end, which it opens once on each loop, when it is first asked there.

    While it cannot be opened, every question is refused with 503, and the next one tries again.
    """

    def __init__(self, back_end: BackEnd) -> None:
        self._back_end = back_end
        self._on_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _OnLoop] = WeakKeyDictionary()
        self._lock = threading.Lock()

    async def ask(self, question: Question) -> Caller:
        """Who makes the request. Raises Refusal."""
        on_loop = self._on_loops.get(asyncio.get_running_loop())
        ask = on_loop.ask if on_loop is not None else None
        if ask is None:
            try:
                ask = await self._opened()
            except NightlatchError as error:
                _log.error("no request can be verified: %s", error.public)
                raise unknown() from None
        return await ask(question)

    async def open(self) -> None:
        """Open it now, so that settings that cannot work are known at the start.

        Raises CannotStart. A database that does not answer is asked again by the first question.
        """
        try:
            await self._opened()
        except Unavailable as error:
            _log.warning("no request can be verified yet: %s", error.public)

    async def close(self) -> None:
        """Close what is open on this loop; returns when it is closed. A question after that opens it anew."""
        with self._lock:
            on_loop = self._on_loops.pop(asyncio.get_running_loop(), None)
        if on_loop is not None and on_loop.task is not None:
            on_loop.closing.set()
            await asyncio.wait([on_loop.task])

    async def _opened(self) -> Ask:
        loop = asyncio.get_running_loop()
        with self._lock:
            on_loop = self._on_loops.get(loop)
            if on_loop is None:
                on_loop = self._on_loops[loop] = _OnLoop(loop.create_future())
                on_loop.task = loop.create_task(self._hold_open(loop, on_loop))
        return await asyncio.shield(on_loop.opening)

    async def _hold_open(self, loop: asyncio.AbstractEventLoop, on_loop: _OnLoop) -> None:
        """A task of its own, since what is opened has to be closed by the task that opened it."""
        try:
            async with self._back_end.opened() as ask:
                on_loop.ask = ask
                on_loop.opening.set_result(ask)
                await on_loop.closing.wait()
        except Exception as error:
            if on_loop.opening.done():
                _log.exception("closing failed")
                return
            with self._lock:
                if self._on_loops.get(loop) is on_loop:
                    del self._on_loops[loop]
            on_loop.opening.set_exception(error)
            on_loop.opening.exception()  # it has been seen, should nobody wait any more
