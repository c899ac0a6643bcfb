"""A sample API: the assets of organizations, as a video platform has them. Records are in memory.

`build_api` takes what tells who makes a request; behind_proxy.py and in_process.py are two of them.
"""

import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

TITLE_CHARACTERS_MAX = 200
BODY_BYTES_MAX = 16 * 1024
ASSETS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request, and in which organization they act."""

    organization_id: str
    user: str


class Refusal(HTTPException):
    """Ends a request with this status, and the sentence as `detail`."""


Identify = Callable[[Request], Awaitable[Caller]]
Handler = Callable[[Request], Awaitable[Response]]
Assets = dict[str, dict[str, str]]


def build_api(identify: Identify, **starlette_options: Any) -> Starlette:
    """The API. `identify` returns the caller, or raises Refusal."""
    organizations: dict[str, Assets] = {}

    async def authorized(request: Request) -> tuple[Caller, Assets]:
        """The caller, and the assets of their organization: the one that the path names."""
        caller = await identify(request)
        if caller.organization_id != request.path_params["organization_id"]:
            raise Refusal(403, "You do not have permission to perform this action.")
        return caller, organizations.get(caller.organization_id, {})

    async def list_assets(request: Request) -> Response:
        _, assets = await authorized(request)
        return JSONResponse({"count": len(assets), "results": list(assets.values())})

    async def create_asset(request: Request) -> Response:
        caller, assets = await authorized(request)
        title = await read_title(request)
        if len(assets) >= ASSETS_MAX:
            raise Refusal(403, f"An organization has at most {ASSETS_MAX} assets.")
        asset = add(organizations.setdefault(caller.organization_id, {}), title, caller.user)
        return JSONResponse(asset, 201)

    async def show_asset(request: Request) -> Response:
        _, assets = await authorized(request)
        return JSONResponse(found(assets, request.path_params["id"]))

    async def delete_asset(request: Request) -> Response:
        _, assets = await authorized(request)
        del assets[found(assets, request.path_params["id"])["id"]]
        return Response(status_code=204)

    every, one = "/api/v1/{organization_id}/assets/", "/api/v1/{organization_id}/assets/{id}/"
    return Starlette(
        routes=[
            Route(every, by_method(GET=list_assets, POST=create_asset), methods=["GET", "POST"]),
            Route(one, by_method(GET=show_asset, DELETE=delete_asset), methods=["GET", "DELETE"]),
        ],
        exception_handlers={HTTPException: refuse},
        **starlette_options,
    )


def by_method(
    **handlers: Callable[[Request], Awaitable[Response]],
) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        return await handlers["GET" if request.method == "HEAD" else request.method](request)

    return handle


def add(assets: Assets, title: str, user: str) -> dict[str, str]:
    """A new asset among them."""
    asset = {"id": secrets.token_hex(8), "title": title, "created_by": user}
    assets[asset["id"]] = asset
    return asset


def found(assets: Assets, asset_id: str) -> dict[str, str]:
    """The asset with that id. Another organization's is not among them."""
    try:
        return assets[asset_id]
    except KeyError:
        raise Refusal(404, "Not found.") from None


async def read_title(request: Request) -> str:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            break
    return title_in(body)


def title_in(body: bytes) -> str:
    """The title in a request's body."""
    if len(body) > BODY_BYTES_MAX:
        raise Refusal(413, f"The body has more than {BODY_BYTES_MAX} bytes.")
    try:
        sent = json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(400, 'The body is not JSON. Expected: {"title": "…"}') from None
    title = sent.get("title") if isinstance(sent, dict) else None
    if not isinstance(title, str) or not 1 <= len(title.strip()) <= TITLE_CHARACTERS_MAX:
        raise Refusal(400, f"title: expected a string of 1 to {TITLE_CHARACTERS_MAX} characters.")
    if not title.isprintable():
        raise Refusal(400, "title: expected printable characters only.")
    return title.strip()


async def refuse(_: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, HTTPException)
    return JSONResponse({"detail": refusal.detail}, refusal.status_code, refusal.headers)
