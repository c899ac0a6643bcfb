"""Requests at a steady rate, whatever the answers take: latencies from when each was due.

Run as a process of its own: `python -m bench.steady PORT PATH HEADER RATE SECONDS`.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import uvloop

from bench.report import percentile

CONNECTIONS: Final = 32
_PAUSE_SECONDS: Final = 0.001


@contextmanager
def asked_steadily(port: int, path: str, header: str, rate: int, seconds: float) -> Iterator[list[float]]:
    """Ask while the block runs, which waits for the end; then the list holds p50 and p99 in milliseconds."""
    seen: list[float] = []
    command = [sys.executable, "-m", "bench.steady", str(port), path, header, str(rate), str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield seen
        output, _ = process.communicate()
    seen.extend(json.loads(output))


async def _ask(port: int, path: str, header: str, rate: int, seconds: float) -> list[float]:
    request = f"GET {path} HTTP/1.1\r\nHost: bench\r\n{header}\r\n\r\n".encode()
    idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTIONS)]
    latencies: list[float] = []
    due: asyncio.Queue[float] = asyncio.Queue()

    async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            at = await due.get()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"verify answered {head!r}")
            latencies.append(time.perf_counter() - at)

    clients = [asyncio.create_task(answered(*connection)) for connection in idle]
    begin = time.perf_counter()
    sent = 0
    while (elapsed := time.perf_counter() - begin) < seconds:
        while sent < elapsed * rate:
            due.put_nowait(begin + sent / rate)
            sent += 1
        await asyncio.sleep(_PAUSE_SECONDS)
    while len(latencies) < sent:
        await asyncio.sleep(0.01)
    for client in clients:
        client.cancel()
    latencies.sort()
    return [percentile([1000 * latency for latency in latencies], percent) for percent in (50, 99)]


if __name__ == "__main__":
    # It stands for another machine: what is measured is not how long the load itself waits for a processor.
    with suppress(PermissionError):
        os.nice(-10)
    port, path, header, rate, seconds = sys.argv[1:]
    json.dump(uvloop.run(_ask(int(port), path, header, int(rate), float(seconds))), sys.stdout)
