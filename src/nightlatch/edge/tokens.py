"""GET and POST /api/auth/tokens/, and DELETE /api/auth/tokens/<id>/"""

from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from nightlatch.edge import documents
from nightlatch.edge.answers import not_found
from nightlatch.edge.child_tokens import issuing
from nightlatch.edge.identify import identify_by_token_or_basic
from nightlatch.edge.pages import page_body, read_window
from nightlatch.edge.resource import Operation, Resource
from nightlatch.model.names import TokenId, is_token_id
from nightlatch.model.records import TokenRecord
from nightlatch.model.times import wire_time
from nightlatch.usecases.list_tokens import list_tokens
from nightlatch.usecases.revoke_token import revoke_token
from nightlatch.usecases.services import Services

_log = structlog.get_logger("nightlatch")


def token_list_resource(services: Services) -> Resource:
    """The live tokens: an owner sees the organization's, a member their own. A token makes child tokens."""

    async def list_live_tokens(request: Request) -> Response:
        """List live tokens. HTTP Basic with `?organization_id=` works too, for who has lost all tokens."""
        caller = await identify_by_token_or_basic(services, request)
        window = read_window(request)
        page = await list_tokens(services, caller.identity, window.limit, window.offset)
        results = [_body(token) for token in page.items]
        return JSONResponse(page_body(request, window, page.count, results))

    return Resource(
        "/api/auth/tokens/",
        "Token List",
        "Tokens",
        {
            "GET": Operation(
                list_live_tokens,
                "List live tokens",
                {
                    200: documents.response(documents.TokenPage, "Live tokens, oldest first."),
                    400: documents.BASIC_WITHOUT_ORGANIZATION,
                    401: documents.UNAUTHENTICATED,
                    403: documents.FORBIDDEN,
                    404: documents.NOT_FOUND,
                    429: documents.THROTTLED,
                    503: documents.UNAVAILABLE,
                },
                {
                    "security": documents.TOKEN_OR_BASIC_SECURITY,
                    "parameters": [*documents.PAGE_PARAMETERS, documents.ORGANIZATION_PARAMETER],
                },
            ),
            "POST": issuing(services),
        },
        identify_by_token_or_basic,
    )


def token_resource(services: Services) -> Resource:
    """One live token."""

    async def revoke_live_token(request: Request) -> Response:
        """End the token or child token with that id. 404 for one not live or not the caller's to end."""
        caller = await identify_by_token_or_basic(services, request)
        token_id = request.path_params["token_id"]
        if not is_token_id(token_id):
            raise not_found()
        await revoke_token(services, caller, TokenId(token_id))
        _log.info(
            "token_revoked",
            token_id=token_id,
            organization_id=caller.identity.organization_id,
            user_id=caller.identity.user_id,
        )
        return Response(status_code=204)

    return Resource(
        "/api/auth/tokens/{token_id}/",
        "Token Instance",
        "Tokens",
        {
            "DELETE": Operation(
                revoke_live_token,
                "End a token",
                {
                    204: documents.response(None, "Ended."),
                    400: documents.BASIC_WITHOUT_ORGANIZATION,
                    401: documents.UNAUTHENTICATED,
                    403: documents.FORBIDDEN,
                    404: documents.NOT_FOUND,
                    429: documents.THROTTLED,
                    503: documents.UNAVAILABLE,
                },
                {
                    "security": documents.TOKEN_OR_BASIC_SECURITY,
                    "parameters": [
                        documents.TOKEN_ID_PARAMETER,
                        documents.ORGANIZATION_PARAMETER,
                    ],
                },
            )
        },
        identify_by_token_or_basic,
    )


def _body(token: TokenRecord) -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "user": token.email,
        "created": wire_time(token.created),
        "expiry": wire_time(token.expiry),
        "last_used": wire_time(token.last_used),
        "last_address": token.last_address,
        "user_agent": token.user_agent,
    }
