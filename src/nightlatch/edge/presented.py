"""The token that a request presents in its body, which is not the one it comes with.

Introspection (RFC 7662) and revocation (RFC 7009) take the same two parameters, in a form only, and
refuse them in the words of OAuth (RFC 6749 section 5.2).
"""

from typing import Any, Final

from starlette.requests import Request

from nightlatch.edge import documents
from nightlatch.edge.answers import Answer
from nightlatch.edge.body import FORM, read_form

_TOKEN: Final = "token"
_HINT: Final = "token_type_hint"

RESPONSES: Final = {
    400: documents.response(
        documents.PresentedErrors,
        "`token` is missing or repeated, the form cannot be read, or HTTP Basic without `organization_id`.",
    ),
    401: documents.UNAUTHENTICATED,
    403: documents.FORBIDDEN,
    404: documents.NOT_FOUND,
    408: documents.TOO_SLOW,
    413: documents.TOO_LARGE,
    415: documents.UNSUPPORTED,
    429: documents.THROTTLED,
    503: documents.UNAVAILABLE,
}
DOCUMENTATION: Final[dict[str, Any]] = {
    "security": documents.TOKEN_OR_BASIC_SECURITY,
    "parameters": [documents.ORGANIZATION_PARAMETER],
    "requestBody": {
        "required": True,
        "content": {
            FORM: {
                "schema": {
                    "type": "object",
                    "title": "PresentedToken",
                    "required": [_TOKEN],
                    "properties": {
                        _TOKEN: {"type": "string", "minLength": 1, "description": "The token asked about."},
                        _HINT: {
                            "type": "string",
                            "description": "Ignored: there is one type of token.",
                        },
                    },
                }
            }
        },
    },
}


async def read_presented(request: Request) -> bytes:
    """The text in `token`, whatever it is; raises the Answer 400, 408, 413 or 415.

    A parameter without a value counts as not sent, none may be sent twice, and ones that are not known
    are ignored (RFC 6749 section 3.2).
    """
    sent: dict[str, str] = {}
    for name, value in await read_form(request):
        if name not in (_TOKEN, _HINT) or not value:
            continue
        if name in sent:
            raise _invalid(f"The parameter {name} is given more than once.")
        sent[name] = value
    if _TOKEN not in sent:
        raise _invalid(
            "The parameter token is missing. Send it in a body of application/x-www-form-urlencoded."
        )
    return sent[_TOKEN].encode("utf-8")


def _invalid(sentence: str) -> Answer:
    return Answer(400, {"error": "invalid_request", "error_description": sentence})
