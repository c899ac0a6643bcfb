"""POST /api/auth/introspect/ (RFC 7662)"""

from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from nightlatch.edge import documents
from nightlatch.edge.body import FORM
from nightlatch.edge.identify import identify_by_token_or_basic
from nightlatch.edge.origin import client_address
from nightlatch.edge.presented import DOCUMENTATION, RESPONSES, read_presented
from nightlatch.edge.resource import Operation, Resource
from nightlatch.hot.known import SEPARATOR, Known
from nightlatch.usecases.introspect import introspect
from nightlatch.usecases.services import Services


def introspect_resource(services: Services) -> Resource:
    """Introspection, for APIs that are sent tokens and ask whose they are."""

    async def introspect_token(request: Request) -> Response:
        """What a token is at the moment (RFC 7662). Only live tokens of the caller's organization are active.

        It counts as a use of the token.
        """
        caller = await identify_by_token_or_basic(services, request)
        presented = await read_presented(request)
        known = await introspect(services, caller.identity, presented, client_address(request))
        return JSONResponse({"active": False} if known is None else _body(known))

    return Resource(
        "/api/auth/introspect/",
        "Introspection",
        "Verification",
        {
            "POST": Operation(
                introspect_token,
                "Introspect a token",
                {200: documents.response(documents.Introspection, "What the token is."), **RESPONSES},
                DOCUMENTATION,
            )
        },
        identify_by_token_or_basic,
        (FORM,),
    )


def _body(known: Known) -> dict[str, Any]:
    identity = known.identity
    _, _, _, token_id, expiry, _ = known.packed.decode("ascii").split(SEPARATOR.decode("ascii"))
    body: dict[str, Any] = {
        "active": True,
        "token_type": "Token",
        "token_id": token_id,
        "organization_id": identity.organization_id,
        "sub": str(identity.user_id),
        "username": identity.email,
        "role": identity.role.value,
    }
    if expiry:
        # Rounded down: nobody believes it for longer than it lives.
        body["exp"] = int(datetime.fromisoformat(expiry).timestamp())
    return body
