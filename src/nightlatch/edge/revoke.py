"""POST /api/auth/revoke/ (RFC 7009)"""

import structlog
from starlette.requests import Request
from starlette.responses import Response

from nightlatch.edge import documents
from nightlatch.edge.body import FORM
from nightlatch.edge.identify import identify_by_token_or_basic
from nightlatch.edge.presented import DOCUMENTATION, RESPONSES, read_presented
from nightlatch.edge.resource import Operation, Resource
from nightlatch.usecases.revoke_presented import revoke_presented
from nightlatch.usecases.services import Services

_log = structlog.get_logger("nightlatch")


def revoke_resource(services: Services) -> Resource:
    """Revocation of a token that the caller has before it."""

    async def revoke_token(request: Request) -> Response:
        """End a token of the caller's organization for good (RFC 7009).

        200 also for one that is unknown, malformed, ended already or another organization's.
        """
        caller = await identify_by_token_or_basic(services, request)
        ended = await revoke_presented(services, caller, await read_presented(request))
        if ended is not None:
            _log.info(
                "token_revoked",
                token_id=ended.token_id,
                organization_id=caller.identity.organization_id,
                user_id=caller.identity.user_id,
            )
        return Response()

    return Resource(
        "/api/auth/revoke/",
        "Revocation",
        "Tokens",
        {
            "POST": Operation(
                revoke_token,
                "End a token by itself",
                {
                    200: documents.response(
                        None, "No process accepts the token, if it is one of the caller's organization."
                    ),
                    **RESPONSES,
                },
                DOCUMENTATION,
            )
        },
        identify_by_token_or_basic,
        (FORM,),
    )
