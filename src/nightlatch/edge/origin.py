"""Where a request came from, as the audit log tells it."""

from typing import Final

from starlette.requests import Request
from starlette.types import Scope

from nightlatch.model.origin import Origin

ADDRESS_CHARACTERS_MAX: Final = 64
USER_AGENT_CHARACTERS_MAX: Final = 300
_REQUEST_ID: Final = "nightlatch.request_id"


def with_request_id(scope: Scope, request_id: str) -> Scope:
    """The scope of a request that has been given an id."""
    return {**scope, _REQUEST_ID: request_id}


def request_id(scope: Scope) -> str:
    """The id that the request has been given."""
    return str(scope.get(_REQUEST_ID, ""))


def read_origin(request: Request) -> Origin:
    """The peer's address without its port, the user agent as printable text, the request's id."""
    return Origin(
        client_address(request)[:ADDRESS_CHARACTERS_MAX],
        _printable(request.headers.get("user-agent", "")[:USER_AGENT_CHARACTERS_MAX]),
        request_id(request.scope),
    )


def client_address(request: Request) -> str:
    """The peer's address, without its port."""
    return request.client.host if request.client is not None else ""


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)
