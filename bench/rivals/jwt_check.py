"""A signed token that is checked in process: HS256 by PyJWT, in a raw ASGI callable.

It cannot be revoked; that is what it is compared for.
"""

import time
from typing import Any, Final

import jwt

from bench.baseline import answer, live

KEY: Final = "0123456789abcdef0123456789abcdef"


def header() -> str:
    """An Authorization header that is accepted for an hour."""
    claims = {"sub": "0123456789ab@example.com", "org": "auhf2k", "exp": int(time.time()) + 3600}
    return f"Bearer {jwt.encode(claims, KEY, algorithm='HS256')}"


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Verify, by the signature and the expiry."""
    if scope["type"] == "lifespan":
        await live(receive, send)
        return
    authorization = b""
    for name, value in scope["headers"]:
        if name == b"authorization":
            authorization = value
    try:
        jwt.decode(authorization[7:], KEY, algorithms=["HS256"])
    except jwt.InvalidTokenError:
        await send({"type": "http.response.start", "status": 401, "headers": ((b"content-length", b"0"),)})
        await send({"type": "http.response.body", "body": b""})
        return
    await answer(send)
