"""A service with the verifier in its own process, in the place of a server's application.

It answers /api/auth/verify/ as a server does, from `nightlatch.verifier`, so that the clients and the
checker judge it by the same rules; and /health/ready/ when it can tell that a token is none.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nightlatch.server
from nightlatch.model.times import wire_time
from nightlatch.model.token import generate_token
from nightlatch.settings import Settings
from nightlatch.verifier import TokenIdentity, TokenRejected, Unavailable, Verifier, open_verifier
from tests.robustness.traffic import VERIFY_PATH

READY_PATH = "/health/ready/"


@asynccontextmanager
async def built_service(settings: Settings, folder: Path) -> AsyncIterator[Any]:
    """What a worker serves, in place of `nightlatch.server._built`."""
    nightlatch.server._end_with_parent(folder)
    async with open_verifier(settings.database_url.get_secret_value()) as verifier:
        yield _Service(verifier)


class _Service:
    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        status = 404
        headers: list[tuple[bytes, bytes]] = []
        if scope["path"] == VERIFY_PATH:
            status, headers = await self._verify(dict(scope["headers"]).get(b"authorization"))
        elif scope["path"] == READY_PATH:
            status, _ = await self._verify(f"Token {generate_token().reveal()}".encode())
            status = 200 if status == 401 else 503
        headers.append((b"content-length", b"0"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async def _verify(self, authorization: bytes | None) -> tuple[int, list[tuple[bytes, bytes]]]:
        try:
            return 200, _headers(await self._verifier.verify(authorization))
        except TokenRejected:
            return 401, []
        except Unavailable:
            return 503, []


def _headers(identity: TokenIdentity) -> list[tuple[bytes, bytes]]:
    values = {
        "organization": identity.organization_id,
        "user": identity.email,
        "role": identity.role,
        "token-id": identity.token_id,
        "expiry": wire_time(identity.expiry) or "",
    }
    return [(f"x-auth-{name}".encode(), value.encode()) for name, value in values.items()]
