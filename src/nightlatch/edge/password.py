"""POST /api/auth/password/: set a password with a link, for programs. People use the page."""

import structlog
from starlette.requests import Request
from starlette.responses import Response

from nightlatch.edge import documents
from nightlatch.edge.body import FORM, JSON, MULTIPART, read_body
from nightlatch.edge.fields import NewPasswordFields, read_new_password
from nightlatch.edge.origin import read_origin
from nightlatch.edge.resource import Operation, Resource
from nightlatch.model.errors import InvalidValue
from nightlatch.usecases.services import Services
from nightlatch.usecases.use_password_link import use_password_link

_log = structlog.get_logger("nightlatch")


def password_resource(services: Services) -> Resource:
    """Open to everybody who knows a link: an Authorization header is not looked at."""

    async def set_password(request: Request) -> Response:
        """Set the password of the link's user and end all their tokens. The link works once."""
        fields = read_new_password(await read_body(request))
        try:
            ended = await use_password_link(services, fields.link, fields.password, read_origin(request))
        except InvalidValue as error:
            _log.info("password_link_refused", reason=error.public)
            raise
        _log.info("password_set_by_link", tokens=len(ended))
        return Response(status_code=204)

    schema = NewPasswordFields.model_json_schema()
    return Resource(
        "/api/auth/password/",
        "Password",
        "Authentication",
        {
            "POST": Operation(
                set_password,
                "Set a password with a link",
                {
                    204: documents.response(None, "Done; no process accepts a token from before any more."),
                    400: documents.response(
                        documents.PasswordErrors,
                        "The link does not work (any more), or the password cannot be set, or the body is "
                        "malformed.",
                    ),
                    404: documents.NOT_FOUND,
                    408: documents.TOO_SLOW,
                    413: documents.TOO_LARGE,
                    415: documents.UNSUPPORTED,
                    503: documents.UNAVAILABLE,
                },
                {
                    "requestBody": {
                        "required": True,
                        "content": {media_type: {"schema": schema} for media_type in (JSON, FORM, MULTIPART)},
                    }
                },
            )
        },
    )
