"""POST /api/auth/login/"""

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from nightlatch.edge import documents
from nightlatch.edge.body import FORM, JSON, MULTIPART, read_body
from nightlatch.edge.fields import LoginFields, read_login
from nightlatch.edge.origin import read_origin
from nightlatch.edge.resource import Operation, Resource
from nightlatch.model.errors import (
    CredentialsRejected,
    NightlatchError,
    Overloaded,
    Throttled,
    TokenLimitReached,
)
from nightlatch.model.times import wire_time
from nightlatch.usecases.check_password import Credentials
from nightlatch.usecases.log_in import Login, log_in
from nightlatch.usecases.services import Services

_log = structlog.get_logger("nightlatch")
_IDS_MAX = 20  # in one log line


def login_resource(services: Services) -> Resource:
    """Login, open to everybody: an Authorization header is not looked at."""

    async def login(request: Request) -> Response:
        """Make a token from username, password and organization id. Reuse it until it expires."""
        fields = read_login(await read_body(request))
        origin = read_origin(request)
        asked = Login(
            Credentials(fields.username, fields.password, fields.organization_id, origin.address),
            fields.name,
            fields.time_to_live,
            origin,
        )
        try:
            issued = await log_in(services, asked)
        except NightlatchError as error:
            services.counts.logins[error.code] += 1
            if isinstance(error, CredentialsRejected | Throttled | TokenLimitReached | Overloaded):
                # The username stays out: people type passwords there.
                _log.info("login_refused", code=error.code, reason=error.detail)
            raise
        services.counts.logins["accepted"] += 1
        ids = [token.id for token in issued.replaced]
        ended = {"replaced": ids[:_IDS_MAX], "replaced_count": len(ids)} if ids else {}
        _log.info("login", token_id=issued.token.id, organization_id=fields.organization_id, **ended)
        return JSONResponse({"expiry": wire_time(issued.expiry), "token": issued.token.reveal()})

    return Resource(
        "/api/auth/login/",
        "Login",
        "Authentication",
        {
            "POST": Operation(
                login,
                "Log in",
                {
                    200: documents.response(documents.IssuedTokenBody, "A new token."),
                    400: documents.response(
                        documents.FieldErrors,
                        "Fields are wrong, or the credentials do not fit together, or the body is malformed.",
                    ),
                    403: documents.response(documents.LimitReached, "The token limit is reached."),
                    404: documents.NOT_FOUND,
                    408: documents.TOO_SLOW,
                    413: documents.TOO_LARGE,
                    415: documents.response(documents.Detail, "Unsupported media type."),
                    429: documents.THROTTLED,
                    503: documents.UNAVAILABLE,
                },
                {"requestBody": _request_body()},
            )
        },
    )


def _request_body() -> dict[str, object]:
    schema = LoginFields.model_json_schema()
    return {
        "required": True,
        "content": {media_type: {"schema": schema} for media_type in (JSON, FORM, MULTIPART)},
    }
