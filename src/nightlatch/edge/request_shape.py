"""Small differences between requests that mean the same, evened out before routing."""

from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from nightlatch.edge.answers import answer, not_found

_WITHOUT_SLASH = ("/docs", "/openapi.json")


class RequestShape:
    """Paths work with and without their trailing slash, methods in any letter case, HEAD as GET.

    `?format=` other than json is 404, as Django REST framework answers for a renderer that it
    does not have.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on in its plain shape."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        if path.startswith("/api/") and _asks_for_other_format(scope["query_string"]):
            response = await answer(Request(scope), not_found())
            await response(scope, receive, send)
            return
        if not path.endswith("/") and path not in _WITHOUT_SLASH and not path.startswith("/docs/"):
            # A redirect would make clients repeat a POST as a GET, without its body.
            path += "/"
        method = scope["method"].upper()
        # The server sends no body in answer to HEAD, whatever it is given.
        scope = {**scope, "path": path, "method": "GET" if method == "HEAD" else method}
        await self._app(scope, receive, send)


def _asks_for_other_format(query: bytes) -> bool:
    if b"format=" not in query:
        return False
    formats = parse_qs(query.decode("latin-1")).get("format", ["json"])
    return formats[-1] != "json"
