"""Processes that read the change feed, as servers do, and measure what that costs.

`python -m bench.readers URL COUNT SECONDS` forks COUNT of them. Each writes `current` when its memory
is; when a line comes in, each measures for twice SECONDS and writes a line of JSON. They end when
the input does.

First reads and processor time are counted, then, because looking costs time itself, how often memory
may answer. On SQLite, where nothing is read on a timer, each only looks at the file, 50 times a second.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, Final

import uvloop

from bench.machine import cpu_seconds, on_cores
from bench.memory import Memory, kept_memory

LOOK_SECONDS: Final = 0.005
FILE_LOOK_SECONDS: Final = 0.02


class Readers:
    """Readers that run; all of them are current."""

    def __init__(self, process: "subprocess.Popen[str]", count: int) -> None:
        self._process = process
        self._count = count

    def measure(self) -> list[dict[str, float]]:
        """What each of them measured."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return [json.loads(line) for line in self.lines()]

    def lines(self) -> list[str]:
        """A line of each."""
        assert self._process.stdout is not None
        lines = [self._process.stdout.readline().strip() for _ in range(self._count)]
        if not all(lines):
            raise SystemExit("a process that reads the feed failed")
        return lines


@contextmanager
def reading(url: str, count: int, cores: Collection[int], seconds: float = 0) -> Iterator[Readers | None]:
    """So many processes that read the feed of that database, until the block ends."""
    if count == 0:
        yield None
        return
    command = [sys.executable, "-m", "bench.readers", url, str(count), str(seconds)]
    with on_cores(cores):
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        readers = Readers(process, count)
        readers.lines()
        yield readers
    finally:
        process.communicate()


def _say(line: str) -> None:
    # In one piece: the processes share their output.
    os.write(1, f"{line}\n".encode())


async def _read(url: str, begin: int, seconds: float) -> None:
    begun = asyncio.Event()
    async with kept_memory(url, 1000) as memory:
        asyncio.get_running_loop().add_reader(begin, begun.set)
        _say("current")
        while memory.feed is None:
            await asyncio.sleep(FILE_LOOK_SECONDS)
            await memory.currency.wait_current()
        await begun.wait()
        asyncio.get_running_loop().remove_reader(begin)
        _say(json.dumps(await _measure(memory, seconds)))
        await asyncio.Event().wait()


async def _measure(memory: Memory, seconds: float) -> dict[str, Any]:
    feed = memory.feed
    assert feed is not None
    start, reads = time.perf_counter(), feed.reads
    own, backend = time.process_time(), cpu_seconds(feed.backend_pid)
    await asyncio.sleep(seconds)
    elapsed = time.perf_counter() - start
    counted = {
        "reads_per_second": (feed.reads - reads) / elapsed,
        "own_cpu_seconds": (time.process_time() - own) / elapsed,
        "backend_cpu_seconds": (cpu_seconds(feed.backend_pid) - backend) / elapsed,
    }
    looks = held = 0
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        await asyncio.sleep(LOOK_SECONDS)
        looks += 1
        held += memory.currency.database_seconds_nowait() is not None
    return {**counted, "looks": looks, "held": held}


def main() -> None:
    """Fork the readers, and end them when there is no more input."""
    url, count, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    begin, begun = os.pipe()
    children = []
    for _ in range(count):
        child = os.fork()
        if child == 0:
            os.close(begun)
            try:
                uvloop.run(_read(url, begin, seconds))
            except BaseException:
                traceback.print_exc()
                _say("")  # where a line is waited for
            finally:
                os._exit(1)
        children.append(child)
    try:
        if sys.stdin.readline():
            os.close(begun)
        sys.stdin.read()
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)


if __name__ == "__main__":
    main()
