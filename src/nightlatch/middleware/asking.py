"""A back end that is open on the event loop of whoever asks: from the start, or the first question."""

import asyncio
import logging

from nightlatch.middleware.caller import Caller
from nightlatch.middleware.question import Ask, BackEnd, Question
from nightlatch.middleware.refusal import unknown
from nightlatch.model.errors import NightlatchError, Unavailable

_log = logging.getLogger("nightlatch.middleware")


class Asking:
    """Asks a back end, which it opens on the running loop when it is first asked there.

    While it cannot be opened, every question is refused with 503, and the next one tries again.
    """

    def __init__(self, back_end: BackEnd) -> None:
        self._back_end = back_end
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opening: asyncio.Future[Ask] | None = None
        self._ask: Ask | None = None
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def ask(self, question: Question) -> Caller:
        """Who makes the request. Raises Refusal."""
        ask = self._ask
        if ask is None or self._loop is not asyncio.get_running_loop():
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
        """Close it; returns when it is closed. A question after that opens it anew."""
        task, self._task = self._task, None
        loop, self._loop, self._ask, self._opening = self._loop, None, None, None
        if task is not None and loop is asyncio.get_running_loop():
            self._closing.set()
            await asyncio.wait([task])

    async def _opened(self) -> Ask:
        loop = asyncio.get_running_loop()
        if self._loop is not loop or self._opening is None:
            # Of another loop (another test's, a forked process's) nothing is of use here.
            self._loop, self._ask, self._opening = loop, None, loop.create_future()
            self._closing = asyncio.Event()
            self._task = loop.create_task(self._hold_open(self._opening, self._closing))
        return await asyncio.shield(self._opening)

    async def _hold_open(self, opening: "asyncio.Future[Ask]", closing: asyncio.Event) -> None:
        """A task of its own, since what is opened has to be closed by the task that opened it."""
        try:
            async with self._back_end.opened() as ask:
                self._ask = ask
                opening.set_result(ask)
                await closing.wait()
        except Exception as error:
            if opening.done():
                _log.exception("closing failed")
                return
            self._opening = None
            opening.set_exception(error)
            opening.exception()  # it has been seen, should nobody wait any more
