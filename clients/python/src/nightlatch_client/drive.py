"""Taking a flow's steps with httpx: in threads, and on an event loop."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final, TypeVar

import anyio.to_thread
import httpx

from nightlatch_client.clock import Clock
from nightlatch_client.errors import UnexpectedAnswer
from nightlatch_client.steps import Answer, Ask, Call, Flow, Pause, Use

OWN: Final = "nightlatch_client"
"""The extension that marks requests of this package's own."""
LOGIN: Final = "login"
_TIMEOUT: Final = httpx.Timeout(30.0, connect=10.0).as_dict()

_Result = TypeVar("_Result")


class _Once(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that is sent once: a redirect (307, 308) would carry the password to another address."""

    def __init__(self, body: bytes) -> None:
        self._body: bytes | None = body

    def _take(self) -> bytes:
        body, self._body = self._body, None
        if body is None:
            raise UnexpectedAnswer(
                "The service redirects logins, and a password is not sent on to another address. "
                "Use the address that it redirects to."
            )
        return body

    def __iter__(self) -> Iterator[bytes]:
        yield self._take()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._take()


class _Login(httpx.Request):
    """A request whose body may be looked at, by an event hook, without having been sent by that."""

    body = b""

    @property
    def content(self) -> bytes:
        """The body."""
        return self.body

    def read(self) -> bytes:
        """The body."""
        return self.body

    async def aread(self) -> bytes:
        """The body."""
        return self.body


def request_of(ask: Ask, redirects: bool = True) -> httpx.Request:
    """The request; it has a timeout of its own, as the client's own does not reach it.

    `redirects`: whoever sends it may follow them.
    """
    url = httpx.URL(ask.url)
    # httpx adds Host only where it encodes the body itself.
    request = _Login(
        ask.method,
        url,
        headers={"Host": url.netloc.decode("ascii"), **ask.headers},
        stream=_Once(ask.body) if ask.once and redirects else httpx.ByteStream(ask.body),
        extensions={"timeout": dict(_TIMEOUT), OWN: LOGIN if ask.once else "other"},
    )
    request.body = ask.body
    return request


def answer_of(response: httpx.Response) -> Answer:
    """The answer; its body must have been read. What another address answered, after a redirect, is none."""
    first = response.history[0] if response.history else response
    if first.is_redirect:
        return Answer(first.status_code, first.headers, b"")
    return Answer(response.status_code, response.headers, response.content)


def drive(flow: Flow[_Result], client: httpx.Client, clock: Clock) -> _Result:
    """Take the steps of a flow that sends no request of a caller's; its result.

    Raises what the flow raises, and httpx's errors.
    """
    with contextlib.closing(flow):
        back: Any = None
        while True:
            try:
                step = flow.send(back)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            match step:
                case Ask():
                    request = request_of(step, redirects=False)
                    back = answer_of(client.send(request, auth=None, follow_redirects=False))
                case Pause() | Call():
                    back = take(step, clock)
                case Use():
                    raise TypeError("there is no request of a caller's to send")


def take(step: Pause | Call, clock: Clock) -> Any:
    """Take a step that asks nobody."""
    if isinstance(step, Pause):
        clock.sleep(step.seconds)
        return None
    return step.function()


async def take_async(step: Pause | Call, clock: Clock) -> Any:
    """Take a step that asks nobody, without holding up the event loop."""
    if isinstance(step, Pause):
        await clock.sleep_async(step.seconds)
        return None
    if step.slow:
        return await anyio.to_thread.run_sync(step.function)
    return step.function()
