"""A token that is looked up in Redis by its digest, in a raw ASGI callable with redis-py and hiredis."""

import os
from hashlib import sha256
from typing import Any, Final

from redis.asyncio import Redis

from bench.baseline import answer, live

PORT_VARIABLE: Final = "BENCH_REDIS_PORT"
TOKEN: Final = "nlt_4fTz0aB7Qm2K_" + "0" * 49
_client: Redis | None = None


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Verify, by asking Redis each time."""
    global _client
    if scope["type"] == "lifespan":
        _client = Redis(host="127.0.0.1", port=int(os.environ[PORT_VARIABLE]))
        await live(receive, send)
        return
    authorization = b""
    for name, value in scope["headers"]:
        if name == b"authorization":
            authorization = value
    if _client is None or await _client.get(sha256(authorization[6:]).digest()) is None:
        await send({"type": "http.response.start", "status": 401, "headers": ((b"content-length", b"0"),)})
        await send({"type": "http.response.body", "body": b""})
        return
    await answer(send)
