"""A proxy to PostgreSQL that reads its protocol, and cuts a connection at one message of a transaction."""

import asyncio
import threading
from typing import Final

_BEGIN: Final = b"BEGIN\x00"


class CuttingProxy:
    """Passes messages on, one by one, from a thread of its own until it is closed.

    Armed, it cuts the next connection that begins a transaction right before message number `at` of it is
    passed on, whoever sends it: BEGIN is the first. TLS it does not understand.
    """

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._at = 0
        self._armed = False
        self.cut: bytes | None = None
        """What was not passed on any more: its kind after `>` if the server was to get it, else `<`."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._accept, "127.0.0.1", 0), self._loop
        ).result(10)
        self.port: int = self._server.sockets[0].getsockname()[1]

    def arm(self, at: int) -> None:
        """Cut the next transaction at that message."""
        self.cut = None
        self._at, self._armed = at, True

    def disarm(self) -> None:
        """Cut nothing more."""
        self._at, self._armed = 0, False

    def close(self) -> None:
        """End all connections."""

        async def end() -> None:
            self._server.close()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        passed = _Passed()
        length = await reader.readexactly(4)
        server_writer.write(length + await reader.readexactly(int.from_bytes(length) - 4))
        ways = (
            self._pass(b">", reader, server_writer, passed),
            self._pass(b"<", server_reader, writer, passed),
        )
        tasks = [asyncio.ensure_future(way) for way in ways]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            for each in (writer, server_writer):
                each.transport.abort()

    async def _pass(
        self, way: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passed: "_Passed"
    ) -> None:
        try:
            while True:
                kind, length = await reader.readexactly(1), await reader.readexactly(4)
                content = await reader.readexactly(int.from_bytes(length) - 4)
                if self._at and kind == b"Q" and content == _BEGIN:
                    passed.at, passed.messages, self._at = self._at, 0, 0
                passed.messages += 1
                if self._armed and passed.messages == passed.at:
                    self.cut = way + kind
                    return
                writer.write(kind + length + content)
        except (asyncio.IncompleteReadError, ConnectionError):
            return


class _Passed:
    """Of one connection: how many messages since the transaction began, and at which it is cut."""

    messages = 0
    at = 0
