"""ASGI: in front of an application, whatever it is built with.

    app = AuthMiddleware(app, OverHttp("https://auth.example.com"))         # any
    app.add_middleware(AuthMiddleware, back_end=InProcess(database_url))    # Starlette, FastAPI

Behind it `request.state.caller` is the `Caller`. Without one nothing is let through but `public_paths`;
also no CORS preflight: what answers those (Starlette's CORSMiddleware) belongs in front, where it also lets
pages read a refusal.
"""

from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any
from urllib.parse import quote

from nightlatch.middleware.asking import Asking
from nightlatch.middleware.public import public_names
from nightlatch.middleware.question import BackEnd, Question
from nightlatch.middleware.refusal import Refusal
from nightlatch.model.errors import CannotStart

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

POLICY_VIOLATION = 1008
TRY_AGAIN_LATER = 1013
"""Codes to close a WebSocket with (RFC 6455 §7.4, IANA's registry)."""


class AuthMiddleware:
    """Lets requests and WebSockets through to `app` that carry a live token.

    `organization_of` tells from the scope of which organization the token must be, None: of any.
    `public_paths` are let through without asking: paths as in `scope["path"]`, exactly.
    """

    def __init__(
        self,
        app: Application,
        back_end: BackEnd,
        *,
        organization_of: Callable[[Scope], str | None] | None = None,
        public_paths: Collection[str] = (),
    ) -> None:
        self._app = app
        self._asking = Asking(back_end)
        self._organization_of = organization_of
        self._public_paths = public_names(public_paths, "public_paths")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What the server awaits."""
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
            return
        if scope["type"] not in ("http", "websocket"):
            raise RuntimeError(f"there is nothing to authenticate in a scope of type {scope['type']}")
        if scope["path"] not in self._public_paths:
            organization_id = self._organization_of(scope) if self._organization_of else None
            try:
                caller = await self._asking.ask(question_about(scope, organization_id))
            except Refusal as refusal:
                await _refuse(refusal, scope, receive, send)
                return
            # A state of its own, since a server may hand the same one to all requests.
            scope["state"] = {**scope.get("state", {}), "caller": caller}
        await self._app(scope, receive, send)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Open the back end before the application starts, and close it when the application has ended."""

        started = [await receive()]
        try:
            await self._asking.open()
        except CannotStart as error:
            await send({"type": "lifespan.startup.failed", "message": error.public})
            return

        async def receive_opened() -> Message:
            return started.pop() if started else await receive()

        async def send_closed(message: Message) -> None:
            if message["type"] != "lifespan.startup.complete":
                await self._asking.close()
            await send(message)

        await self._app(scope, receive_opened, send_closed)


def question_about(scope: Scope, organization_id: str | None) -> Question:
    """What is to be asked about the request or WebSocket."""
    authorization: list[bytes] = []
    origin = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            authorization.append(value)
        elif name == b"origin":
            origin = value.decode("latin-1")
    path = scope.get("raw_path") or quote(scope["path"]).encode("ascii")
    query = scope.get("query_string")
    client = scope.get("client")
    return Question(
        # All of them: of two, the first alone would be somebody's choice. No token survives the comma.
        b",".join(authorization),
        client[0] if client else "",
        organization_id,
        scope.get("method", "GET"),
        (path + b"?" + query if query else path).decode("latin-1"),
        origin,
    )


async def _refuse(refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
    kind = "http"
    if scope["type"] == "websocket":
        await receive()  # websocket.connect
        if "websocket.http.response" not in (scope.get("extensions") or {}):
            code = TRY_AGAIN_LATER if refusal.status == 503 else POLICY_VIOLATION
            await send(
                {"type": "websocket.close", "code": code}
            )  # before it is accepted: the server answers 403
            return
        kind = "websocket.http"
    body = refusal.body
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **refusal.headers}
    fields = [(name.lower().encode("ascii"), value.encode("ascii")) for name, value in headers.items()]
    await send({"type": f"{kind}.response.start", "status": refusal.status, "headers": fields})
    await send({"type": f"{kind}.response.body", "body": body})
