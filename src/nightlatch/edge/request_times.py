"""How long each request took, by its route: never by its path, which anybody can make up."""

import time
from collections.abc import Mapping
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nightlatch.counts import Counts

OTHER: Final = "other"
"""The documentation, and paths that there are not."""


class RequestTimes:
    """Right around the router, which notes in the scope which endpoint it has chosen."""

    def __init__(self, app: ASGIApp, counts: Counts, routes: Mapping[Any, str], other: str = OTHER) -> None:
        self._app = app
        self._counts = counts
        self._routes = routes
        self._other = other

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; one that was not answered is not counted."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.monotonic()
        status = 0

        async def send_noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_noting)
        finally:
            if status:
                route = self._routes.get(scope.get("endpoint"), self._other)
                self._counts.request(route, status, time.monotonic() - begun)
