"""Keep-alive HTTP connections that cost a client little: one request at a time, answers parsed by hand."""

import asyncio
from typing import cast

from tests.robustness.history import now
from tests.robustness.server import PROCESS_PATH

REPLY_SECONDS_MAX = 20.0


class Cut(Exception):
    """The connection ended, or was given up, before the whole answer had come."""


class WireReply:
    """An answer; headers are parsed only when they are asked for."""

    __slots__ = ("_head", "body", "status")

    def __init__(self, head: bytes, body: bytes) -> None:
        self._head = head
        self.body = body
        self.status = int(head[9:12])

    def headers(self) -> dict[str, str]:
        """Names in lower case."""
        pairs = (line.partition(b":") for line in self._head.split(b"\r\n")[1:])
        return {name.decode("latin-1").lower(): value.strip().decode("latin-1") for name, _, value in pairs}


class Connection(asyncio.Protocol):
    """To one server process, which is the same for all its requests."""

    def __init__(self) -> None:
        self.process = 0
        self.since = 0
        """When the request under way was sent; 0: none is."""
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._waiting: asyncio.Future[WireReply] | None = None

    @classmethod
    async def open(cls, port: int) -> "Connection":
        """Connect, and learn which process answers. Raises Cut or OSError."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(REPLY_SECONDS_MAX):
            _, connection = await loop.create_connection(cls, "127.0.0.1", port)
            reply = await connection.exchange(request("GET", PROCESS_PATH))
        connection.process = int(reply.body)
        return connection

    @property
    def is_open(self) -> bool:
        """Whether nothing is known to be wrong with it."""
        return self._transport is not None and not self._transport.is_closing()

    async def exchange(self, sent: bytes) -> WireReply:
        """The answer. Raises Cut."""
        if self._transport is None or self._transport.is_closing():
            raise Cut
        self._waiting = asyncio.get_running_loop().create_future()
        self.since = now()
        self._transport.write(sent)
        try:
            return await self._waiting
        finally:
            self.since = 0

    def abort(self) -> None:
        """Give up, whatever is under way."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._received[:end]
        size = _content_length(head)
        if len(self._received) < end + 4 + size:
            return
        reply = WireReply(head, self._received[end + 4 : end + 4 + size])
        self._received = b""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        self._transport = None
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(Cut())


def _content_length(head: bytes) -> int:
    start = head.lower().find(b"\r\ncontent-length:")
    return int(head[start + 17 :].split(b"\r\n", 1)[0]) if start >= 0 else 0


def request(method: str, path: str, headers: tuple[tuple[str, str], ...] = (), body: bytes = b"") -> bytes:
    """A request as it goes over the wire."""
    lines = [f"{method} {path} HTTP/1.1", "Host: test", *(f"{name}: {value}" for name, value in headers)]
    if method != "GET":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body
