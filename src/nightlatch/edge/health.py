"""GET /health/live/ and GET /health/ready/"""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from nightlatch.edge import documents
from nightlatch.edge.resource import Operation, Resource
from nightlatch.usecases.check_health import check_health
from nightlatch.usecases.services import Services


def live_resource(services: Services) -> Resource:
    """Whether the process answers at all: says nothing about the database."""

    async def health_live(request: Request) -> Response:
        """The process answers. A supervisor restarts it when this does not."""
        return JSONResponse({"status": "ok"})

    operation = Operation(
        health_live, "Alive", {200: documents.response(documents.Health, "The process answers.")}
    )
    return Resource("/health/live/", "Live", "Health", {"GET": operation})


def ready_resource(services: Services) -> Resource:
    """Whether logins and lookups can be answered."""

    async def health_ready(request: Request) -> Response:
        """Whether the database was heard from within a second: else no load balancer sends requests here."""
        await check_health(services)
        return JSONResponse({"status": "ok"})

    operation = Operation(
        health_ready,
        "Ready",
        {
            200: documents.response(documents.Health, "Requests can be answered."),
            503: documents.UNAVAILABLE,
        },
    )
    return Resource("/health/ready/", "Ready", "Health", {"GET": operation})
