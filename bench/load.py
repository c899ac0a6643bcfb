"""Load: requests from wrk, logins from a small client of our own."""

import asyncio
import json
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvloop
from tests.accounts import Person

from bench.machine import LOAD_CORE, on_cores

_SCRIPT: Final = Path(__file__).parent / "wrk" / "answers.lua"
_MARK: Final = "BENCH "


@dataclass(frozen=True, slots=True)
class Answers:
    """What wrk saw: requests per second, and latencies in milliseconds."""

    rate: float
    p50: float
    p99: float
    most: float
    requests: int


def _command(
    url: str, connections: int, seconds: float, headers: Sequence[str], tokens: Path | None, count: bool
) -> list[str]:
    if shutil.which("wrk") is None:
        raise SystemExit("make bench needs wrk: apt install wrk")
    flags = [flag for header in headers for flag in ("-H", header)]
    command = [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{max(1, round(seconds))}",
        "--latency",
        "--timeout",
        "10s",
    ]
    command += [*flags, "-s", str(_SCRIPT), url]
    if tokens is not None:
        command += ["--", str(tokens), *(["statuses"] if count else [])]
    return command


def _read(url: str, output: str, status: int) -> Answers:
    marked = [line for line in output.splitlines() if line.startswith(_MARK)]
    if not marked:
        raise SystemExit(f"{url}: wrk said {output}")
    seen = json.loads(marked[0].removeprefix(_MARK))
    unsuccessful = 0 if status < 400 else seen["requests"]
    others = {other: n for other, n in seen["statuses"].items() if other != str(status)}
    # A response may be counted by status just after the last one that counts as a request.
    if seen["broken"] or abs(seen["unsuccessful"] - unsuccessful) > (status >= 400) or others:
        raise SystemExit(f"{url}: not every answer was {status}:\n{output}")
    return Answers(
        rate=seen["requests"] / seen["microseconds"] * 1e6,
        p50=seen["p50"] / 1000,
        p99=seen["p99"] / 1000,
        most=seen["most"] / 1000,
        requests=seen["requests"],
    )


def ask(
    url: str,
    connections: int,
    seconds: float,
    headers: Sequence[str] = (),
    tokens: Path | None = None,
    status: int = 200,
    count: bool = False,
    cores: Collection[int] = LOAD_CORE,
) -> Answers:
    """Ask for that many (whole) seconds, from those cores; stops the run if an answer was not `status`.

    `tokens` is a file of Authorization headers to take in turn. With `count` every status is looked
    at, which wrk is slower with; without, only whether all of them were errors or none.
    """
    with on_cores(cores):
        run = subprocess.run(
            _command(url, connections, seconds, headers, tokens, count),
            capture_output=True,
            text=True,
            check=False,
        )
    return _read(url, run.stdout + run.stderr, status)


@contextmanager
def asking(url: str, connections: int, headers: Sequence[str]) -> Iterator[list[Answers]]:
    """Ask for as long as the block lasts; what was seen is in the list after it."""
    seen: list[Answers] = []
    with on_cores(LOAD_CORE):
        process = subprocess.Popen(
            _command(url, connections, 3600, headers, None, False), stdout=subprocess.PIPE, text=True
        )
    try:
        yield seen
        process.send_signal(signal.SIGINT)
        seen.append(_read(url, process.communicate(timeout=15)[0], 200))
    finally:
        process.kill()
        process.wait()


def logins_per_second(port: int, people: Iterator[Person], concurrent: int, seconds: float) -> float:
    """Successful logins in a second, by so many clients at once, each on one connection.

    Each of the people logs in 20 times at most, and the iterator goes on where it stopped.
    """
    return uvloop.run(_log_in_for(port, people, concurrent, seconds))


async def _log_in_for(port: int, people: Iterator[Person], concurrent: int, seconds: float) -> float:
    bodies = (json.dumps(person.login_body).encode() for person in people for _ in range(20))
    end = time.perf_counter() + seconds

    async def client() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        done = 0
        while time.perf_counter() < end:
            body = next(bodies)
            writer.write(
                b"POST /api/auth/login/ HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
            )
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"a login failed: {head!r}")
            length = re.search(rb"content-length: (\d+)", head)
            await reader.readexactly(int(length[1]) if length else 0)
            done += 1
        writer.close()
        return done

    begin = time.perf_counter()
    total = sum(await asyncio.gather(*(client() for _ in range(concurrent))))
    return total / (time.perf_counter() - begin)
