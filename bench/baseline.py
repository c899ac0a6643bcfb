"""The limits that results are measured against: a bare server, and the bare password hash."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from argon2 import PasswordHasher


async def bare_application(scope: Any, receive: Any, send: Any) -> None:
    """Answers a constant from a raw ASGI callable, with the headers that Nightlatch's answers have."""
    if scope["type"] != "http":
        return
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [
                (b"content-type", b"application/json"),
                (b"content-length", b"83"),
                (b"vary", b"Origin"),
                (b"x-request-id", b"0123456789abcdef"),
                (b"x-content-type-options", b"nosniff"),
                (b"cache-control", b"no-store"),
            ],
        }
    )
    await send({"type": "http.response.body", "body": b"x" * 83})


def hashes_per_second(threads: int, seconds: float) -> float:
    """How many password checks with the default parameters the threads make in a second."""
    hasher = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
    stored = hasher.hash("a password")
    end = time.perf_counter() + seconds

    def work(_: int) -> int:
        done = 0
        while time.perf_counter() < end:
            hasher.verify(stored, "a password")
            done += 1
        return done

    with ThreadPoolExecutor(threads) as pool:
        begin = time.perf_counter()
        total = sum(pool.map(work, range(threads)))
        return total / (time.perf_counter() - begin)
