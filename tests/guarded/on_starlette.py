"""Starlette, behind the ASGI middleware."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from nightlatch.middleware.asgi import AuthMiddleware
from tests.guarded import back_end, named, told


async def who(request: Request) -> JSONResponse:
    return JSONResponse(told(request.state.caller))


async def public(request: Request) -> JSONResponse:
    return JSONResponse({"caller": hasattr(request.state, "caller")})


async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_json(told(websocket.state.caller))
    await websocket.close()


app = Starlette(
    routes=[
        Route("/who/", who, methods=["GET", "OPTIONS"]),
        Route("/api/v1/{organization_id}/who/", who),
        Route("/public/", public),
        WebSocketRoute("/api/v1/{organization_id}/socket/", socket),
    ]
)
app.add_middleware(
    AuthMiddleware,
    back_end=back_end(),
    organization_of=lambda scope: named(scope["path"]),
    public_paths=["/public/"],
)
