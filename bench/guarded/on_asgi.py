"""A raw ASGI application."""

from typing import Any

from bench.baseline import answer, live
from bench.guarded import back_end
from nightlatch.middleware.asgi import AuthMiddleware


async def _view(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await live(receive, send)
    else:
        await answer(send)


_asked = back_end()
app: Any = AuthMiddleware(_view, _asked) if _asked else _view
