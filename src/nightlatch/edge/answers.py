"""Answers other than success, as Django REST framework words them."""

from collections.abc import Mapping
from typing import Any, Final

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from nightlatch.model.errors import (
    ChildTokenLimitReached,
    CredentialsRejected,
    Forbidden,
    InvalidValue,
    NightlatchError,
    NotFound,
    Overloaded,
    Throttled,
    TokenLimitReached,
    TokenRejected,
    Unavailable,
)

_log = structlog.get_logger("nightlatch")

OUTCOME: Final = "nightlatch.outcome"
"""In a request's scope: the code of the error that ended it."""

CHALLENGE: Final = {"WWW-Authenticate": "Token"}

TOKEN_LIMIT_DETAIL: Final = (
    "This organization has reached its limit of live tokens. Reuse a token you have; or list the live ones "
    "with GET /api/auth/tokens/ and end one with DELETE /api/auth/tokens/<id>/, both with a token, or with "
    "HTTP Basic (username and password) and ?organization_id=<id>. An ended or expired token makes room."
)
CHILD_TOKEN_LIMIT_DETAIL: Final = (
    "This organization has reached its limit of live child tokens. Reuse one until it expires; or list those "
    "of a token with GET /api/auth/tokens/<id>/children/ and end one with DELETE /api/auth/tokens/<id>/."
)


class Answer(Exception):
    """Ends a request with this answer."""

    def __init__(
        self, status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.headers = dict(headers or {})


def detail(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer in the shape that everything but a field's error has."""
    return Answer(status, {"detail": sentence}, headers)


def not_found() -> Answer:
    """404, in the same words whatever the reason."""
    return detail(404, "Not found.")


def forbidden() -> Answer:
    """403 for somebody who is known, and may not do it."""
    return detail(403, Forbidden().public)


def unauthenticated(sentence: str) -> Answer:
    """401 with the challenge that every 401 carries (RFC 9110 section 15.5.2)."""
    return detail(401, sentence, CHALLENGE)


def internal_error() -> Response:
    """500, in the shape of all other answers: a bug of ours, of which the log has the traceback."""
    return JSONResponse({"detail": "Internal server error."}, 500)


async def answer(request: Request, raised: Exception) -> Response:
    """The response to whatever a handler raised on purpose."""
    if isinstance(raised, NightlatchError):
        request.scope[OUTCOME] = raised.code
    match raised:
        case Answer():
            chosen = raised
        case CredentialsRejected():
            chosen = Answer(400, {"non_field_errors": [raised.public]})
        case InvalidValue():
            chosen = Answer(400, {raised.field: [raised.public]})
        case TokenRejected():
            _log.info("token_refused", reason=raised.detail)
            chosen = unauthenticated(raised.public)
        case TokenLimitReached():
            chosen = Answer(403, {"error": raised.public, "detail": TOKEN_LIMIT_DETAIL, "code": raised.code})
        case ChildTokenLimitReached():
            body = {"error": raised.public, "detail": CHILD_TOKEN_LIMIT_DETAIL, "code": raised.code}
            chosen = Answer(403, body)
        case Throttled():
            chosen = detail(429, raised.public, {"Retry-After": str(raised.retry_after)})
        case Forbidden():
            chosen = detail(403, raised.public)
        case NotFound():
            chosen = not_found()
        case Unavailable():
            # Whoever can overload the server cannot fill its log with warnings as well.
            log = _log.info if isinstance(raised, Overloaded) else _log.warning
            log("unavailable", code=raised.code, reason=raised.detail)
            chosen = detail(503, raised.public, {"Retry-After": str(raised.retry_after)})
        case _:
            raise raised
    return JSONResponse(dict(chosen.body), chosen.status, chosen.headers)
