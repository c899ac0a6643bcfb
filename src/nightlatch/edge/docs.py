"""GET /docs: the OpenAPI document as a page, with every asset served from here."""

from pathlib import Path
from typing import Any, Final

import fastapi_standalone_docs
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

_SWAGGER: Final = Path(fastapi_standalone_docs.__file__).parent / "static" / "swagger"
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "style-src 'self' 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Nightlatch API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/assets/swagger-ui.css">
</head>
<body>
<noscript>The API is described in <a href="/openapi.json">openapi.json</a>.</noscript>
<div id="page"></div>
<script src="/docs/assets/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
_START: Final = """window.ui = SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#page",
  deepLinking: true,
  presets: [SwaggerUIBundle.presets.apis],
  validatorUrl: null,
});
"""


def docs_routes(document: FastAPI, version: str) -> list[BaseRoute]:
    """The page, its assets, and the OpenAPI document of what has been described in `document`."""
    described = _describe(document, version)

    async def openapi(_: Request) -> Response:
        return JSONResponse(described)

    async def page(_: Request) -> Response:
        return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _POLICY})

    async def start(_: Request) -> Response:
        return Response(_START, media_type="text/javascript")

    return [
        Route("/openapi.json", openapi),
        Route("/docs", page),
        Route("/docs/start.js", start),
        Mount("/docs/assets", StaticFiles(directory=_SWAGGER)),
    ]


def _describe(described: FastAPI, version: str) -> dict[str, Any]:
    document = get_openapi(
        title="Nightlatch",
        version=version,
        openapi_version="3.1.0",
        summary="Tokens for the people of an organization.",
        description=(
            "Log in once, send `Authorization: Token …` with each request, reuse the token until it expires, "
            "log out when done."
        ),
        routes=described.routes,
    )
    document["components"]["securitySchemes"] = {
        "token": {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`Token <token>`, with the token that login answered.",
        },
        "basic": {
            "type": "http",
            "scheme": "basic",
            "description": "Username and password, together with `?organization_id=`.",
        },
    }
    for path in document["paths"].values():
        for operation in path.values():
            # FastAPI documents its own validation, which is not used here.
            operation["responses"].pop("422", None)
    return document
