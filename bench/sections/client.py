"""What the client costs per request: httpx with TokenAuth against bare httpx, in µs.

The transport answers within the process, so that the difference is the client's. Bare httpx sends a
token as well, in a header that the caller sets. Sync and async; RetryingClient apart.
"""

import asyncio
import time
from typing import Any, Final

import httpx

from bench.alone import run_alone
from bench.databases import Database
from bench.known import settle
from bench.machine import SERVER_CORE
from bench.options import Options
from bench.report import median, print_table
from nightlatch_client import AsyncRetryingClient, MemoryCache, RetryingClient, TokenAuth

URL: Final = "https://api.example.com"
PATH: Final = "/api/v1/things/"
BATCH: Final = 200
_CREDENTIALS: Final = ("hari@example.com", "a password", "auhf2k")


def measure(database: Database, options: Options) -> dict[str, Any]:
    """Microseconds per request, and what the client adds to bare httpx."""
    del database  # it is about none
    times = run_alone(SERVER_CORE, _measure, options.seconds, options.rounds)
    rows = []
    for kind in ("sync", "async"):
        bare = times[f"{kind}, bare httpx"]
        rows += [
            [name, value, round(value - bare, 1)] for name, value in times.items() if name.startswith(kind)
        ]
    print_table("One request, transport in the process", ["", "µs, median", "more than bare"], rows)
    return {"microseconds": times}


def _measure(seconds: int, rounds: int) -> dict[str, float]:
    # One that answers as little as can be: what is measured shall not drown in it.
    token = "0" * 64

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/auth/login/":
            return httpx.Response(200, json={"expiry": None, "token": token})
        return httpx.Response(200)

    transport = httpx.MockTransport(answer)
    header = {"Authorization": f"Token {token}"}

    def auth() -> TokenAuth:
        return TokenAuth(URL, *_CREDENTIALS, cache=MemoryCache())

    sync = {
        "sync, bare httpx": httpx.Client(transport=transport, base_url=URL, headers=header),
        "sync, TokenAuth": httpx.Client(transport=transport, base_url=URL, auth=auth()),
        "sync, TokenAuth and RetryingClient": RetryingClient(transport=transport, base_url=URL, auth=auth()),
    }
    kept: dict[str, list[float]] = {name: [] for name in sync}
    settle()
    # In turn batch by batch, so that a machine that slows down slows all of them down.
    end = time.perf_counter() + seconds * rounds
    while time.perf_counter() < end:
        for name, client in sync.items():
            begin = time.perf_counter()
            for _ in range(BATCH):
                client.get(PATH)
            kept[name].append((time.perf_counter() - begin) / BATCH * 1e6)
    asyncio.run(_measure_async(transport, header, auth, seconds * rounds, kept))
    return {name: median(values) for name, values in kept.items()}


async def _measure_async(
    transport: httpx.MockTransport,
    header: dict[str, str],
    auth: Any,
    seconds: int,
    kept: dict[str, list[float]],
) -> None:
    clients = {
        "async, bare httpx": httpx.AsyncClient(transport=transport, base_url=URL, headers=header),
        "async, TokenAuth": httpx.AsyncClient(transport=transport, base_url=URL, auth=auth()),
        "async, TokenAuth and AsyncRetryingClient": AsyncRetryingClient(
            transport=transport, base_url=URL, auth=auth()
        ),
    }
    kept |= {name: [] for name in clients}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for name, client in clients.items():
            begin = time.perf_counter()
            for _ in range(BATCH):
                await client.get(PATH)
            kept[name].append((time.perf_counter() - begin) / BATCH * 1e6)
