"""What POST /api/auth/tokens/ makes, and GET /api/auth/tokens/<id>/children/ lists."""

from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from nightlatch.edge import documents
from nightlatch.edge.answers import not_found
from nightlatch.edge.body import JSON, read_strict_json
from nightlatch.edge.fields import ChildTokenFields, read_child_token
from nightlatch.edge.identify import identify_by_token, identify_by_token_or_basic
from nightlatch.edge.pages import page_body, read_window
from nightlatch.edge.resource import Operation, Resource
from nightlatch.model.names import TokenId, is_token_id
from nightlatch.model.records import ChildTokenRecord
from nightlatch.model.scope import Scope, store_scope
from nightlatch.model.times import wire_time
from nightlatch.usecases.issue_child_token import ChildTokenRequest, issue_child_token
from nightlatch.usecases.list_child_tokens import list_child_tokens
from nightlatch.usecases.services import Services

_log = structlog.get_logger("nightlatch")


def issuing(services: Services) -> Operation:
    """The operation that makes one."""

    async def issue_child(request: Request) -> Response:
        """Make a child token: short-lived, for some methods and paths only, ended with the caller's token.

        It uses up no place of the organization's tokens, and is accepted by verify only, for requests that
        a trusted proxy tells of. Fields that are not known are refused.
        """
        caller = await identify_by_token(services, request)
        if caller.token_id is None:
            raise RuntimeError("identified by a token that has no id")
        fields = read_child_token(await read_strict_json(request))
        asked = ChildTokenRequest(fields.name, fields.scope, fields.time_to_live)
        issued = await issue_child_token(services, caller, caller.token_id, asked)
        organization_id = caller.identity.organization_id
        _log.info(
            "child_token_issued",
            token_id=issued.token.id,
            parent_id=caller.token_id,
            organization_id=organization_id,
        )
        body = {
            "token": issued.token.reveal(),
            "expiry": wire_time(issued.expiry),
            "id": issued.token.id,
            "name": fields.name,
            **_scope_body(fields.scope),
        }
        return JSONResponse(body, 201)

    return Operation(
        issue_child,
        "Make a child token",
        {
            201: documents.response(documents.IssuedChildTokenBody, "A new child token."),
            400: documents.response(
                documents.ChildTokenErrors, "Fields are wrong or not known, or the body is malformed."
            ),
            401: documents.UNAUTHENTICATED,
            403: documents.response(
                documents.ForbiddenOrLimitReached,
                "The limit of child tokens is reached, or the caller's token is itself a child.",
            ),
            404: documents.NOT_FOUND,
            408: documents.TOO_SLOW,
            413: documents.TOO_LARGE,
            415: documents.UNSUPPORTED,
            429: documents.TOO_MANY_CHILDREN,
            503: documents.UNAVAILABLE,
        },
        {
            "security": documents.TOKEN_SECURITY,
            "requestBody": {
                "required": True,
                "content": {JSON: {"schema": ChildTokenFields.model_json_schema()}},
            },
        },
    )


def child_list_resource(services: Services) -> Resource:
    """The live children of a token: an owner sees those of any, a member those of their own."""

    async def list_children(request: Request) -> Response:
        """List live child tokens of a token. 404 for one that is not live or not the caller's to see."""
        caller = await identify_by_token_or_basic(services, request)
        parent_id = request.path_params["token_id"]
        if not is_token_id(parent_id):
            raise not_found()
        window = read_window(request)
        page = await list_child_tokens(
            services, caller.identity, TokenId(parent_id), window.limit, window.offset
        )
        results = [_body(child) for child in page.items]
        return JSONResponse(page_body(request, window, page.count, results))

    return Resource(
        "/api/auth/tokens/{token_id}/children/",
        "Child Token List",
        "Tokens",
        {
            "GET": Operation(
                list_children,
                "List live child tokens",
                {
                    200: documents.response(documents.ChildTokenPage, "Live child tokens, oldest first."),
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
                        *documents.PAGE_PARAMETERS,
                        documents.ORGANIZATION_PARAMETER,
                    ],
                },
            )
        },
        identify_by_token_or_basic,
    )


def _scope_body(scope: Scope) -> dict[str, Any]:
    stored = store_scope(scope)
    return {
        "methods": stored.methods.split(),
        "paths": list(scope.paths),
        "origin": scope.origin,
        "addresses": None if stored.networks is None else stored.networks.split(),
    }


def _body(child: ChildTokenRecord) -> dict[str, Any]:
    return {
        "id": child.id,
        "name": child.name,
        "user": child.email,
        "created": wire_time(child.created),
        "expiry": wire_time(child.expiry),
        **_scope_body(child.scope),
    }
