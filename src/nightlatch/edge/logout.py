"""POST /api/auth/logout/ and POST /api/auth/logoutall/"""

import structlog
from starlette.requests import Request
from starlette.responses import Response

from nightlatch.edge import documents
from nightlatch.edge.identify import identify_by_token, spelled_token
from nightlatch.edge.origin import read_origin
from nightlatch.edge.resource import Operation, Resource
from nightlatch.usecases.log_out import log_out, log_out_everywhere
from nightlatch.usecases.services import Services

_log = structlog.get_logger("nightlatch")
_RESPONSES = {
    204: documents.response(None, "Done; the token can never be used again."),
    401: documents.UNAUTHENTICATED,
    403: documents.FORBIDDEN,
    404: documents.NOT_FOUND,
    503: documents.UNAVAILABLE,
}
_DOCUMENTATION = {"security": documents.TOKEN_SECURITY}


def logout_resource(services: Services) -> Resource:
    """Logout; a body, even a malformed one, is ignored."""

    async def logout(request: Request) -> Response:
        """Delete the token in the header for good. A body is ignored."""
        standing = await log_out(services, spelled_token(request), read_origin(request))
        _log.info("logout", token_id=standing.token_id, organization_id=standing.identity.organization_id)
        return Response(status_code=204)

    return Resource(
        "/api/auth/logout/",
        "Logout",
        "Authentication",
        {"POST": Operation(logout, "Log out", _RESPONSES, _DOCUMENTATION)},
        identify_by_token,
    )


def logoutall_resource(services: Services) -> Resource:
    """Logout of every token that the user has in the organization."""

    async def logoutall(request: Request) -> Response:
        """Delete every token that the token's user has in its organization."""
        standing, ended = await log_out_everywhere(services, spelled_token(request), read_origin(request))
        _log.info(
            "logoutall",
            token_id=standing.token_id,
            organization_id=standing.identity.organization_id,
            tokens=len(ended),
        )
        return Response(status_code=204)

    return Resource(
        "/api/auth/logoutall/",
        "Logout All",
        "Authentication",
        {"POST": Operation(logoutall, "Log out everywhere", _RESPONSES, _DOCUMENTATION)},
        identify_by_token,
    )
