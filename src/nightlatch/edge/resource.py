"""A path of the API with the methods it has, and what every other method gets."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from nightlatch.edge.answers import Answer, detail
from nightlatch.edge.body import FORM, JSON, MULTIPART
from nightlatch.model.standing import Caller
from nightlatch.usecases.services import Services

Handler = Callable[[Request], Awaitable[Response]]
Identifier = Callable[[Services, Request], Awaitable[Caller]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of a resource: its handler, and how the OpenAPI document describes it."""

    handler: Handler
    summary: str
    responses: Mapping[int, Mapping[str, Any]]
    documentation: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Resource:
    """A path. `identify` is None where everybody may ask; else it decides before the method does.

    `parses` holds the media types of bodies that it reads.
    """

    path: str
    name: str
    tag: str
    operations: Mapping[str, Operation]
    identify: Identifier | None = None
    parses: tuple[str, ...] = (JSON, FORM, MULTIPART)

    def allowed_methods(self) -> str:
        """The Allow header."""
        methods = list(self.operations)
        if "GET" in methods:
            methods.insert(methods.index("GET") + 1, "HEAD")
        return ", ".join([*methods, "OPTIONS"])


def describe(document: FastAPI, resource: Resource) -> None:
    """Put the resource into the OpenAPI document, which is all that FastAPI is used for."""
    for method, operation in resource.operations.items():
        document.add_api_route(
            resource.path,
            operation.handler,
            methods=[method],
            name=resource.name,
            summary=operation.summary,
            description=operation.handler.__doc__ or "",
            operation_id=operation.handler.__name__,
            tags=[resource.tag],
            response_class=Response,
            responses={status: dict(response) for status, response in operation.responses.items()},
            openapi_extra=dict(operation.documentation),
        )


def route(services: Services, resource: Resource) -> Route:
    """The resource's route: its methods to their handlers, all others to one that says what there is."""

    async def any_method(request: Request) -> Response:
        operation = resource.operations.get(request.method)
        if operation is not None:
            return await operation.handler(request)
        headers = {"Allow": resource.allowed_methods()}
        if resource.identify is not None:
            try:
                await resource.identify(services, request)
            except Answer as refusal:
                refusal.headers |= headers
                raise
        if request.method == "OPTIONS":
            return JSONResponse(
                {
                    "name": resource.name,
                    "description": "",
                    "renders": [JSON],
                    "parses": list(resource.parses),
                },
                headers=headers,
            )
        raise detail(405, f'Method "{request.method}" not allowed.', headers)

    return _AnyMethodRoute(resource.path, any_method)


class _AnyMethodRoute(Route):
    """Starlette gives a plain function GET and HEAD only; this one takes every method."""

    def __init__(self, path: str, endpoint: Handler) -> None:
        super().__init__(path, endpoint)
        self.methods = set()
