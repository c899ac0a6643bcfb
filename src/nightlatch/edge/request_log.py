"""Around every request: an id, headers that every answer has, and an end for what nobody expected."""

import secrets

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nightlatch.edge.answers import internal_error
from nightlatch.edge.origin import with_request_id

_log = structlog.get_logger("nightlatch")


class RequestLog:
    """Gives each request an id, which stands in its log lines, its event, and its answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; other scopes pass untouched."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = secrets.token_hex(8)
        started = ended = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started, ended
            if message["type"] == "http.response.start":
                started = True
                headers = [
                    *message.get("headers", ()),
                    (b"x-request-id", request_id.encode()),
                    (b"x-content-type-options", b"nosniff"),
                ]
                if all(name != b"cache-control" for name, _ in headers):
                    headers.append((b"cache-control", b"no-store"))
                message["headers"] = headers
            elif message["type"] == "http.response.body":
                ended = not message.get("more_body", False)
            await send(message)

        client = scope.get("client")
        with structlog.contextvars.bound_contextvars(
            request_id=request_id, address=client[0] if client else ""
        ):
            try:
                await self._app(with_request_id(scope, request_id), receive, send_with_headers)
            except Exception:
                _log.exception("request_failed", method=scope["method"])
                if not started:
                    await internal_error()(scope, receive, send_with_headers)
                elif not ended:
                    raise  # what was begun cannot be mended: the server cuts the connection
