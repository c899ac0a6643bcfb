"""Guessing: wrong passwords at a steady rate, however long the answers take, from any address."""

import asyncio
import json
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import uvloop
from tests.accounts import Person

CONNECTIONS_MAX: Final = 2_000
CONNECTIONS_MIN: Final = 64
"""Taken in turn, so that every process of the server gets its share."""
WRONG: Final = "a wrong password"
OWNER_SECONDS: Final = 2.0
"""How long the owner waits between logins: each takes a core's time for a hash, whoever guesses or not."""


@dataclass(slots=True)
class Guesses:
    """What was answered: guesses by status, the owner's logins by status and how long the longest took.

    `missed` were due, and no connection was free for them.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    owner: Counter[int] = field(default_factory=Counter)
    owner_seconds_most: float = 0.0
    missed: int = 0


def anywhere() -> str:
    """Some IPv4 address."""
    return ".".join(["10", *(str(random.randrange(256)) for _ in range(3))])


def guess(
    port: int,
    accounts: Sequence[Person],
    address: Callable[[], str],
    owner: Person,
    home: str,
    per_second: int,
    seconds: float,
) -> Guesses:
    """Guess at the accounts in turn, not at all at 0 `per_second`; meanwhile the owner logs in from home."""
    return uvloop.run(_guess(port, accounts, address, owner, home, per_second, seconds))


async def _guess(
    port: int,
    accounts: Sequence[Person],
    address: Callable[[], str],
    owner: Person,
    home: str,
    per_second: int,
    seconds: float,
) -> Guesses:
    seen = Guesses()
    bodies = [json.dumps({**person.login_body, "password": WRONG}).encode() for person in accounts]
    client = _Client(port)
    await client.open()
    begin = time.perf_counter()

    async def one(body: bytes) -> None:
        seen.statuses[await client.log_in(body, address())] += 1

    async def log_in_owner() -> None:
        body = json.dumps(owner.login_body).encode()
        while time.perf_counter() < begin + seconds:
            asked = time.perf_counter()
            seen.owner[await client.log_in(body, home)] += 1
            seen.owner_seconds_most = max(seen.owner_seconds_most, time.perf_counter() - asked)
            await asyncio.sleep(OWNER_SECONDS)

    logging_in = asyncio.create_task(log_in_owner())
    under_way: set[asyncio.Task[None]] = set()
    sent = 0
    while (elapsed := time.perf_counter() - begin) < seconds:
        for number in range(sent, int(elapsed * per_second)):
            if len(under_way) >= CONNECTIONS_MAX:
                seen.missed += 1
                continue
            task = asyncio.create_task(one(bodies[number % len(bodies)]))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        sent = int(elapsed * per_second)
        await asyncio.sleep(0.005)
    await asyncio.gather(logging_in, *under_way)
    client.close()
    return seen


class _Client:
    """Logs in on connections that are used again."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: deque[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = deque()

    async def open(self) -> None:
        """Open so many connections that every process of the server has some."""
        for _ in range(CONNECTIONS_MIN):
            self._idle.append(await asyncio.open_connection("127.0.0.1", self._port))

    async def log_in(self, body: bytes, address: str) -> int:
        """The status of the answer; 0 if the connection was cut."""
        try:
            reader, writer = (
                self._idle.popleft() if self._idle else await asyncio.open_connection("127.0.0.1", self._port)
            )
            writer.write(
                b"POST /api/auth/login/ HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
                b"X-Forwarded-For: %b\r\nContent-Length: %d\r\n\r\n%b" % (address.encode(), len(body), body)
            )
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length or 0))
        except (OSError, asyncio.IncompleteReadError):
            return 0
        self._idle.append((reader, writer))
        return int(head[9:12])

    def close(self) -> None:
        """Close what is idle."""
        for _, writer in self._idle:
            writer.close()
