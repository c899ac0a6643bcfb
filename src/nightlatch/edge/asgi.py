"""The ASGI application: every layer around the API, from the outside in."""

from collections.abc import Callable
from typing import Any, Final

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from nightlatch.edge.answers import Answer, answer, detail, internal_error, not_found
from nightlatch.edge.body_limits import BodyLimits
from nightlatch.edge.child_tokens import child_list_resource
from nightlatch.edge.docs import docs_routes
from nightlatch.edge.events import event_list_resource
from nightlatch.edge.fixed_paths import FixedPaths
from nightlatch.edge.health import live_resource, ready_resource
from nightlatch.edge.introspect import introspect_resource
from nightlatch.edge.login import login_resource
from nightlatch.edge.logout import logout_resource, logoutall_resource
from nightlatch.edge.metrics import MetricsPage
from nightlatch.edge.organizations import organizations_resource
from nightlatch.edge.password import password_resource
from nightlatch.edge.password_page import PasswordPage
from nightlatch.edge.request_log import RequestLog
from nightlatch.edge.request_shape import RequestShape
from nightlatch.edge.request_spans import RequestSpans
from nightlatch.edge.request_times import OTHER, RequestTimes
from nightlatch.edge.resource import describe, route
from nightlatch.edge.revoke import revoke_resource
from nightlatch.edge.tokens import token_list_resource, token_resource
from nightlatch.edge.verify import Verify, verify_resource
from nightlatch.model.errors import NightlatchError
from nightlatch.spans import Spans
from nightlatch.usecases.services import Services

_RESOURCES: Final = (
    login_resource,
    logout_resource,
    logoutall_resource,
    password_resource,
    token_list_resource,
    token_resource,
    child_list_resource,
    event_list_resource,
    introspect_resource,
    revoke_resource,
    organizations_resource,
    live_resource,
    ready_resource,
)
_METHODS: Final = ("GET", "HEAD", "POST", "DELETE", "OPTIONS")
CONSOLE: Final = "/console/"
"""Under which all pages of the console are, and are timed."""
_EXPOSED: Final = ("Date", "Retry-After", "WWW-Authenticate", "X-Request-Id")


def timed_routes(services: Services) -> tuple[str, ...]:
    """Every name under which requests are timed."""
    return (*(make_resource(services).path for make_resource in _RESOURCES), CONSOLE, OTHER)


def build_application(
    services: Services,
    version: str,
    cors_origins: tuple[str, ...],
    body_seconds_max: float,
    token_header: str | None,
    public_url: str | None = None,
    read_metrics: Callable[[], bytes] | None = None,
    spans: Spans | None = None,
    console: ASGIApp | None = None,
) -> ASGIApp:
    """The application for one process, on services that outlive it.

    Without `read_metrics` none are shown, without `spans` requests have none. `console` answers what is
    below its path, and no other site's pages may ask it.
    """
    document = FastAPI(title="Nightlatch", version=version)
    routes: list[Route] = []
    for make_resource in _RESOURCES:
        resource = make_resource(services)
        describe(document, resource)
        routes.append(route(services, resource))
    describe(document, verify_resource)
    fixed = {each.path: each.endpoint for each in routes if "{" not in each.path}
    others = [each for each in routes if each.path not in fixed]
    app = Starlette(
        routes=[*others, PasswordPage(services, public_url).route, *docs_routes(document, version)],
        exception_handlers={
            Answer: answer,
            NightlatchError: answer,
            HTTPException: _framework_answer,
            Exception: _unexpected,
        },
    )
    app.router.redirect_slashes = False
    names = {each.endpoint: each.path for each in routes}
    inner: ASGIApp = RequestTimes(FixedPaths(app, fixed), services.counts, names)
    if spans is not None:
        inner = RequestSpans(inner, spans, names)
    inner = BodyLimits(RequestShape(inner), body_seconds_max)
    if cors_origins:
        inner = CORSMiddleware(
            inner,
            allow_origins=cors_origins,
            allow_methods=_METHODS,
            allow_headers=("*",),
            expose_headers=_EXPOSED,
            max_age=600,
        )
    if console is not None:
        timed = RequestTimes(console, services.counts, {}, CONSOLE)
        inner = _Beside(inner, BodyLimits(RequestShape(timed), body_seconds_max))
    if read_metrics is not None:
        inner = MetricsPage(inner, read_metrics)
    return Verify(RequestLog(inner), services, token_header)


class _Beside:
    """Two applications: the console answers for its paths, the API for all others."""

    def __init__(self, api: ASGIApp, console: ASGIApp) -> None:
        self._api = api
        self._console = console

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; other scopes are the API's."""
        is_console = scope["type"] == "http" and f"{scope['path']}/".startswith(CONSOLE)
        await (self._console if is_console else self._api)(scope, receive, send)


async def _unexpected(_: Request, raised: Exception) -> Response:
    return internal_error()


async def _framework_answer(request: Request, raised: Any) -> Response:
    """What Starlette refuses by itself, in the shape of all other answers."""
    if raised.status_code == 404:
        return await answer(request, not_found())
    if raised.status_code == 405:
        return await answer(request, detail(405, f'Method "{request.method}" not allowed.', raised.headers))
    return await answer(request, detail(raised.status_code, str(raised.detail), raised.headers))
