"""Connections that mean no good: idle ones, slow ones, oversized ones; and when the server ends them."""

import asyncio
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import uvloop

from bench.machine import LOAD_CORE, on_cores

IDLE: Final = 10_000
SLOW: Final = 2_000
OVERSIZED: Final = 500
OPENED_AT_ONCE: Final = 200
OPEN_FILES: Final = 20_000
GIVEN_UP_SECONDS: Final = 60.0
HEAD: Final = b"POST /api/auth/login/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
_OPEN: Final = "open"


@contextmanager
def hostile_connections(port: int) -> Iterator["subprocess.Popen[str]"]:
    """All of them, from a process of their own; the block begins when they are open."""
    with (
        on_cores(LOAD_CORE),
        subprocess.Popen(
            [sys.executable, "-m", "bench.hostile", str(port)], stdout=subprocess.PIPE, text=True
        ) as process,
    ):
        try:
            if process.stdout is None or process.stdout.readline().strip() != _OPEN:
                raise SystemExit("the hostile connections could not be opened")
            yield process
        finally:
            process.kill()


def ended(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """How many of each kind the server has ended, and after how many seconds the last of them."""
    output, _ = process.communicate(timeout=2 * GIVEN_UP_SECONDS)
    seen: dict[str, Any] = json.loads(output)
    return seen


class _Kind:
    def __init__(self) -> None:
        self.opened = 0
        self.ended = 0
        self.seconds = 0.0


async def _attack(port: int) -> dict[str, Any]:
    kinds = {name: _Kind() for name in ("idle", "slow head", "slow body", "oversized")}
    doors = asyncio.Semaphore(OPENED_AT_ONCE)
    attacks = [
        *(_one(port, kinds["idle"], doors, _idle) for _ in range(IDLE)),
        *(_one(port, kinds["slow head"], doors, _slow_head) for _ in range(SLOW // 2)),
        *(_one(port, kinds["slow body"], doors, _slow_body) for _ in range(SLOW // 2)),
        *(_one(port, kinds["oversized"], doors, _oversized) for _ in range(OVERSIZED)),
    ]
    tasks = [asyncio.create_task(attack) for attack in attacks]
    while sum(kind.opened for kind in kinds.values()) < len(tasks):
        await asyncio.sleep(0.05)
    sys.stdout.write(_OPEN + "\n")
    sys.stdout.flush()
    await asyncio.gather(*tasks)
    return {
        name: {"opened": kind.opened, "ended": kind.ended, "seconds": round(kind.seconds, 1)}
        for name, kind in kinds.items()
    }


async def _one(port: int, kind: _Kind, doors: asyncio.Semaphore, send: Any) -> None:
    async with doors:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    kind.opened += 1
    begun = time.monotonic()
    sending = asyncio.create_task(send(writer))
    with suppress(TimeoutError):
        async with asyncio.timeout(GIVEN_UP_SECONDS):
            with suppress(ConnectionError):
                while await reader.read(65536):
                    pass
            kind.ended += 1
            kind.seconds = max(kind.seconds, time.monotonic() - begun)
    sending.cancel()
    writer.transport.abort()


async def _idle(_: asyncio.StreamWriter) -> None:
    """Say nothing."""


async def _slow_head(writer: asyncio.StreamWriter) -> None:
    """A header, a byte a second."""
    await _drip(writer, HEAD)


async def _slow_body(writer: asyncio.StreamWriter) -> None:
    """A body, a byte a second."""
    writer.write(HEAD + b"Content-Length: 1000\r\n\r\n")
    await _drip(writer, b"x" * 1000)


async def _drip(writer: asyncio.StreamWriter, data: bytes) -> None:
    with suppress(ConnectionError):
        for byte in data:
            writer.write(bytes([byte]))
            await asyncio.sleep(1)


async def _oversized(writer: asyncio.StreamWriter) -> None:
    """A body of a gibibyte, as fast as it is taken."""
    with suppress(ConnectionError):
        writer.write(HEAD + b"Content-Length: 1073741824\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    json.dump(uvloop.run(_attack(int(sys.argv[1]))), sys.stdout)
