"""Many requests at once, each on a connection of its own."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from tests.sockets import Reply, parse, request_bytes

SECONDS_MAX = 40.0


async def _exchange(port: int, request: bytes, ready: asyncio.Barrier) -> Reply | None:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        await ready.wait()
        return None
    try:
        await ready.wait()
        writer.write(request)
        async with asyncio.timeout(SECONDS_MAX):
            return parse(await reader.read())
    except (OSError, IndexError):
        return None  # the connection was cut: the outcome is unknown
    finally:
        writer.close()


async def _all(port: int, requests: Sequence[bytes]) -> list[Reply | None]:
    ready = asyncio.Barrier(len(requests))
    return await asyncio.gather(*(_exchange(port, request, ready) for request in requests))


def exchange_at_once(port: int, requests: Sequence[bytes]) -> list[Reply | None]:
    """The answers, in order; None where the connection was cut. All connect first, then all send."""
    return asyncio.run(_all(port, requests))


def login_request(body: Any) -> bytes:
    """A login as bytes."""
    return request_bytes(
        "POST", "/api/auth/login/", [("Content-Type", "application/json")], json.dumps(body).encode()
    )
