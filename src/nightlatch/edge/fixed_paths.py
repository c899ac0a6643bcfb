"""Paths without parameters: looked up, without Starlette's middleware and its search for a route."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from nightlatch.edge.answers import Answer, answer, internal_error
from nightlatch.edge.resource import Handler
from nightlatch.model.errors import NightlatchError


class FixedPaths:
    """In front of the router: answers for these paths, and passes on all others.

    Middleware and search together take longer than most endpoints do.
    """

    def __init__(self, app: ASGIApp, endpoints: Mapping[str, Handler]) -> None:
        self._app = app
        self._endpoints = endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or pass it on; other scopes pass untouched."""
        endpoint = self._endpoints.get(scope["path"]) if scope["type"] == "http" else None
        if endpoint is None:
            await self._app(scope, receive, send)
            return
        scope["endpoint"] = endpoint
        try:
            response = await _respond(endpoint, Request(scope, receive))
        except Exception:
            # As the framework does: answered in here, where answers are counted, and logged out there.
            await internal_error()(scope, receive, send)
            raise
        await response(scope, receive, send)


async def _respond(endpoint: Handler, request: Request) -> Response:
    try:
        return await endpoint(request)
    except (Answer, NightlatchError) as raised:
        return await answer(request, raised)
