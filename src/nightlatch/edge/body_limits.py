"""Bounds on request bodies: size and time, for every path, whether or not somebody reads the body.

A client that is still sending when the answer comes would see its connection reset instead of the
answer. So what is left of a body is read and dropped first, within bounds of its own.
"""

import asyncio
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nightlatch.edge.answers import Answer, detail

BODY_BYTES_MAX: Final = 64 * 1024
DRAIN_BYTES_MAX: Final = 8 * 1024 * 1024
DRAIN_SECONDS_MAX: Final = 5.0


def too_large() -> Answer:
    """413: the body exceeds the limit."""
    return detail(413, f"Request body is larger than {BODY_BYTES_MAX} bytes.")


def too_slow(seconds: float) -> Answer:
    """408: the body did not arrive in time."""
    return detail(408, f"Request body did not arrive within {seconds:g} seconds.", {"Connection": "close"})


def broken() -> Answer:
    """400: the body ended before its end, or its chunks are malformed."""
    return detail(400, "Request body could not be read to its end.", {"Connection": "close"})


class BodyLimits:
    """Raises 413 and 408 from `receive`, and drops what is left of a body before an answer starts."""

    def __init__(self, app: ASGIApp, seconds_max: float) -> None:
        self._app = app
        self._seconds_max = seconds_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; scopes without a body pass untouched."""
        headers = dict(scope["headers"]) if scope["type"] == "http" else {}
        length = headers.get(b"content-length", b"0")
        if length == b"0" and b"transfer-encoding" not in headers:
            await self._app(scope, receive, send)
            return
        body = _Body(receive, send, self._seconds_max, _declared_bytes(length))
        await self._app(scope, body.receive, body.send)


class _Body:
    def __init__(self, receive: Receive, send: Send, seconds_max: float, declared: int) -> None:
        self._receive = receive
        self._send = send
        self._seconds_max = seconds_max
        self._deadline = asyncio.get_running_loop().time() + seconds_max
        self._declared = declared
        self._bytes = 0
        self._ended = False

    async def receive(self) -> Message:
        if self._ended:
            return await self._receive()
        if self._declared > BODY_BYTES_MAX:
            raise too_large()
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._next()
        except TimeoutError:
            self._ended = True  # who stalls is not waited for a second time
            raise too_slow(self._seconds_max) from None
        if message["type"] == "http.disconnect":
            raise broken()
        if self._bytes > BODY_BYTES_MAX:
            raise too_large()
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and not self._ended:
            await self._drain()
        await self._send(message)

    async def _next(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._ended = True
        else:
            self._bytes += len(message.get("body", b""))
            self._ended = not message.get("more_body", False)
        return message

    async def _drain(self) -> None:
        if self._declared > DRAIN_BYTES_MAX:
            return
        try:
            async with asyncio.timeout(DRAIN_SECONDS_MAX):
                while not self._ended and self._bytes <= DRAIN_BYTES_MAX:
                    await self._next()
        except TimeoutError:
            pass


def _declared_bytes(length: bytes) -> int:
    # What is no number of bytes, the server has refused, or does not go by.
    return int(length) if length.isdigit() and len(length) < 20 else 0
