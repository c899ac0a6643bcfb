"""The limits that results are measured against: a bare server, and the bare password hash."""

import os
import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from argon2 import PasswordHasher

OWASP_HASH: Final[dict[str, Any]] = {"password_hash_memory_kib": 19456, "password_hash_time_cost": 2}

# As edge/verify.py answers: the same names in the same order, values of the same lengths.
_START: Final[dict[str, Any]] = {
    "type": "http.response.start",
    "status": 200,
    "headers": (
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"content-length", b"0"),
        (b"x-auth-organization", b"auhf2k"),
        (b"x-auth-user", b"0123456789ab@example.com"),
        (b"x-auth-role", b"owner"),
        (b"x-auth-token-id", b"4fTz0aB7Qm2K"),
        (b"x-auth-expiry", b"2026-12-24T10:00:00.000000Z"),
    ),
}
_END: Final[dict[str, Any]] = {"type": "http.response.body", "body": b""}


async def live(receive: Any, send: Any) -> None:
    """The life of an application that has nothing to set up."""
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def answer(send: Any) -> None:
    """A constant answer, with the headers that verify answers with."""
    await send(_START)
    await send(_END)


async def bare_application(scope: Any, receive: Any, send: Any) -> None:
    """The constant answer from a raw ASGI callable."""
    if scope["type"] == "lifespan":
        await live(receive, send)
        return
    await send(_START)
    await send(_END)


def hashes_per_second(cores: Collection[int], seconds: float) -> float:
    """How many password checks with the default parameters as many threads as cores make in a second."""
    hasher = PasswordHasher(
        time_cost=OWASP_HASH["password_hash_time_cost"],
        memory_cost=OWASP_HASH["password_hash_memory_kib"],
        parallelism=1,
    )
    stored = hasher.hash("a password")
    end = time.perf_counter() + seconds

    def work(_: int) -> int:
        done = 0
        while time.perf_counter() < end:
            hasher.verify(stored, "a password")
            done += 1
        return done

    with ThreadPoolExecutor(len(cores), initializer=os.sched_setaffinity, initargs=(0, cores)) as pool:
        begin = time.perf_counter()
        total = sum(pool.map(work, range(len(cores))))
        return total / (time.perf_counter() - begin)
