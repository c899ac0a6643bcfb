"""GET /api/v1/organizations/"""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from nightlatch.edge import documents
from nightlatch.edge.identify import identify_by_token
from nightlatch.edge.pages import page_body, read_window
from nightlatch.edge.resource import Operation, Resource
from nightlatch.usecases.list_organizations import list_own_organizations
from nightlatch.usecases.services import Services


def organizations_resource(services: Services) -> Resource:
    """The organizations of the token's user."""

    async def list_organizations(request: Request) -> Response:
        """List the organizations that the token's user belongs to."""
        caller = await identify_by_token(services, request)
        window = read_window(request)
        page = await list_own_organizations(services, caller.identity.user_id, window.limit, window.offset)
        results = [{"name": item.name, "uuid": item.id} for item in page.items]
        return JSONResponse(page_body(request, window, page.count, results))

    return Resource(
        "/api/v1/organizations/",
        "Organization List",
        "Organizations",
        {
            "GET": Operation(
                list_organizations,
                "List own organizations",
                {
                    200: documents.response(documents.OrganizationPage, "Organizations, by name."),
                    401: documents.UNAUTHENTICATED,
                    403: documents.FORBIDDEN,
                    404: documents.NOT_FOUND,
                    503: documents.UNAVAILABLE,
                },
                {"security": documents.TOKEN_SECURITY, "parameters": documents.PAGE_PARAMETERS},
            )
        },
        identify_by_token,
    )
