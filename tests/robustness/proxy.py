"""A TCP proxy between one node and PostgreSQL, in a process of its own, that can be told to misbehave.

Run as `python -m tests.robustness.proxy LISTEN_PORT TARGET_PORT`. Commands are lines on standard
input; each is acknowledged by a line `done`:

    stall both | stall to_server | stall to_client    nothing more passes that way; connections stay
    delay SECONDS                                      everything passes that much later
    cut                                                end all connections
    refuse                                             end new connections at once
    heal                                               undo everything but cuts

It ends when its standard input is closed, thus with whoever started it.
"""

import asyncio
import contextlib
import subprocess
import sys

from tests.postgresql import free_port


class _Proxy:
    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._open = {"to_server": asyncio.Event(), "to_client": asyncio.Event()}
        self._writers: set[asyncio.StreamWriter] = set()
        self._delay_seconds = 0.0
        self._refusing = False
        self._heal()

    def _heal(self) -> None:
        for gate in self._open.values():
            gate.set()
        self._delay_seconds = 0.0
        self._refusing = False

    def command(self, line: str) -> None:
        match line.split():
            case ["stall", "both"]:
                for gate in self._open.values():
                    gate.clear()
            case ["stall", way]:
                self._open[way].clear()
            case ["delay", seconds]:
                self._delay_seconds = float(seconds)
            case ["cut"]:
                for writer in self._writers:
                    writer.transport.abort()
            case ["refuse"]:
                self._refusing = True
            case ["heal"]:
                self._heal()
            case _:
                raise ValueError(line)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.transport.abort()
            return
        self._writers.add(writer)
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            self._writers.discard(writer)
            writer.transport.abort()
            return
        self._writers.add(server_writer)
        try:
            await asyncio.gather(
                self._pump(reader, server_writer, "to_server"),
                self._pump(server_reader, writer, "to_client"),
            )
        finally:
            self._writers -= {writer, server_writer}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: str) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if self._delay_seconds:
                    await asyncio.sleep(self._delay_seconds)
                await self._open[way].wait()
                writer.write(data)
                await writer.drain()
        await self._open[way].wait()
        writer.close()


async def _serve(listen_port: int, target_port: int) -> None:
    proxy = _Proxy(target_port)
    server = await asyncio.start_server(proxy.accept, "127.0.0.1", listen_port)
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(commands), sys.stdin
    )
    _acknowledge()
    while line := await commands.readline():
        proxy.command(line.decode())
        _acknowledge()
    server.close()


def _acknowledge() -> None:
    sys.stdout.write("done\n")
    sys.stdout.flush()


class Proxy:
    """A running proxy, seen from the process that commands it."""

    def __init__(self, target_port: int) -> None:
        self.port = free_port()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.robustness.proxy", str(self.port), str(target_port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._wait_done()

    def command(self, line: str) -> None:
        """Give a command, and return when it is in effect."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        self._wait_done()

    def _wait_done(self) -> None:
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "done\n":
            raise RuntimeError("the proxy has ended")

    def stop(self) -> None:
        """End it, and every connection through it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), int(sys.argv[2])))
