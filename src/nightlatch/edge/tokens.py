"""GET /api/auth/tokens/ and DELETE /api/auth/tokens/<id>/"""

import re
from typing import Any, Final

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from nightlatch.edge import documents
from nightlatch.edge.answers import not_found
from nightlatch.edge.identify import identify_by_token_or_basic
from nightlatch.edge.pages import page_body, read_window
from nightlatch.edge.resource import Operation, Resource
from nightlatch.model.names import TokenId
from nightlatch.model.records import TokenRecord
from nightlatch.model.times import wire_time
from nightlatch.usecases.list_tokens import list_tokens
from nightlatch.usecases.revoke_token import revoke_token
from nightlatch.usecases.services import Services

_log = structlog.get_logger("nightlatch")
_ID: Final = re.compile(r"[0-9A-Za-z]{12}")
_BASIC_WITHOUT_ORGANIZATION: Final = documents.response(
    documents.FieldErrors, "HTTP Basic without `organization_id`."
)


def token_list_resource(services: Services) -> Resource:
    """The live tokens: an owner sees the organization's, a member their own."""

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
                    400: _BASIC_WITHOUT_ORGANIZATION,
                    401: documents.UNAUTHENTICATED,
                    404: documents.NOT_FOUND,
                    429: documents.THROTTLED,
                    503: documents.UNAVAILABLE,
                },
                {
                    "security": documents.TOKEN_OR_BASIC_SECURITY,
                    "parameters": [*documents.PAGE_PARAMETERS, documents.ORGANIZATION_PARAMETER],
                },
            )
        },
        identify_by_token_or_basic,
    )


def token_resource(services: Services) -> Resource:
    """One live token."""

    async def revoke_live_token(request: Request) -> Response:
        """End the token with that id. 404 for one that is not live or not the caller's to end."""
        caller = await identify_by_token_or_basic(services, request)
        token_id = request.path_params["token_id"]
        if _ID.fullmatch(token_id) is None:
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
                    400: _BASIC_WITHOUT_ORGANIZATION,
                    401: documents.UNAUTHENTICATED,
                    404: documents.NOT_FOUND,
                    429: documents.THROTTLED,
                    503: documents.UNAVAILABLE,
                },
                {
                    "security": documents.TOKEN_OR_BASIC_SECURITY,
                    "parameters": [
                        {"name": "token_id", "in": "path", "required": True, "schema": {"type": "string"}},
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
