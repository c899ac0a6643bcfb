"""GET /docs: the OpenAPI document as a page, with every asset served from here."""

from pathlib import Path
from typing import Any, Final

import fastapi_standalone_docs
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
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


def add_docs(app: FastAPI, version: str) -> None:
    """Serve the page and describe the API in app.openapi()."""

    async def page(_: Request) -> Response:
        return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _POLICY})

    async def start(_: Request) -> Response:
        return Response(_START, media_type="text/javascript")

    app.add_route("/docs", page, include_in_schema=False)
    app.add_route("/docs/start.js", start, include_in_schema=False)
    app.mount("/docs/assets", StaticFiles(directory=_SWAGGER))

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _describe(app, version)
        return app.openapi_schema

    # FastAPI's documented way to extend its document.
    app.openapi = openapi  # type: ignore[method-assign]


def _describe(app: FastAPI, version: str) -> dict[str, Any]:
    document = get_openapi(
        title="Nightlatch",
        version=version,
        openapi_version="3.1.0",
        summary="Tokens for the people of an organization.",
        description=(
            "Log in once, send `Authorization: Token …` with each request, reuse the token until it expires, "
            "log out when done."
        ),
        routes=app.routes,
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
