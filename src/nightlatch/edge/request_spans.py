"""A span for each request but verify, where the server traces (docs/traces.md)."""

from collections.abc import Mapping
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nightlatch.edge.answers import OUTCOME
from nightlatch.edge.origin import request_id
from nightlatch.edge.request_times import OTHER
from nightlatch.spans import Spans

_TRACEPARENT: Final = b"traceparent"
_BY_CLASS: Final = {0: "not_answered", 4: "refused", 5: "failed"}


class RequestSpans:
    """Right around the router, as `RequestTimes` is, and by the same names."""

    def __init__(self, app: ASGIApp, spans: Spans, routes: Mapping[Any, str]) -> None:
        self._app = app
        self._spans = spans
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; its outcome is the code of the error that refused it, if one did."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0

        async def send_noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        named = [value for name, value in scope["headers"] if name == _TRACEPARENT]
        traceparent = named[0].decode("latin-1") if len(named) == 1 else ""
        with self._spans.request(scope["method"], traceparent, request_id(scope)) as asked:
            try:
                await self._app(scope, receive, send_noting)
            finally:
                outcome = scope.get(OUTCOME) or _BY_CLASS.get(status // 100, "ok")
                asked.answered(self._routes.get(scope.get("endpoint"), OTHER), status, outcome)
