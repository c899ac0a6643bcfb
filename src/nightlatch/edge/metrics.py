"""GET /metrics: beside the API, outside of what pages of other origins may read."""

import asyncio
from collections.abc import Callable
from typing import Final

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from nightlatch.edge.answers import answer, detail

PATHS: Final = ("/metrics", "/metrics/")


class MetricsPage:
    """Answers /metrics, and passes everything else on."""

    def __init__(self, app: ASGIApp, read: Callable[[], bytes]) -> None:
        self._app = app
        self._read = read

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it."""
        if scope["type"] != "http" or scope["path"] not in PATHS:
            await self._app(scope, receive, send)
            return
        if scope["method"] in ("GET", "HEAD"):
            text = await asyncio.to_thread(self._read)
            response = Response(text, media_type=CONTENT_TYPE_PLAIN_0_0_4)
        else:
            allow = {"Allow": "GET, HEAD"}
            response = await answer(
                Request(scope), detail(405, f'Method "{scope["method"]}" not allowed.', allow)
            )
        await response(scope, receive, send)
