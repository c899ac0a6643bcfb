"""/api/auth/verify/: forward authentication, by any method, in front of the framework.

A proxy asks here who is behind a request. A token that memory knows is answered without an await
before the answer, without a log line, without a look at the body. Every answer of 200 sets every
identity header, so that a proxy which copies them never passes on one that its client sent (FA1).
"""

import json
from functools import lru_cache
from typing import Any, Final
from urllib.parse import parse_qsl

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from nightlatch.counts import (
    ACCEPTED,
    ACCEPTED_READ,
    REFUSED_ABSENT,
    REFUSED_INVALID,
    REFUSED_INVALID_READ,
    REFUSED_MALFORMED,
    REFUSED_ORGANIZATION,
    REFUSED_SCOPE,
    UNAVAILABLE,
)
from nightlatch.edge import documents
from nightlatch.edge.forwarded_for import is_told_by_proxy, told_address
from nightlatch.edge.resource import Operation, Resource
from nightlatch.hot.header import HeaderFault, TokenHeader
from nightlatch.hot.known import SEPARATOR, Known, KnownChild
from nightlatch.model.errors import Unavailable
from nightlatch.model.scope import AskedRequest, OutOfScope
from nightlatch.usecases.services import Services
from nightlatch.usecases.verify import verify_unknown

_log = structlog.get_logger("nightlatch")

PATHS: Final = ("/api/auth/verify/", "/api/auth/verify")
ORGANIZATION_HEADER: Final = b"x-organization-id"
"""For proxies that cannot set a query: the token must be of this organization too."""

METHOD_HEADER: Final = b"x-forwarded-method"
TARGET_HEADER: Final = b"x-forwarded-uri"
"""Which request a child token is used for, told by a trusted proxy."""

ANSWERS_MAX: Final = 2048
"""Answers kept as they are, about 1 KB each; they follow from what is known of a token and nothing else."""

_NOT_STORED: Final = (b"cache-control", b"no-store")
_NOT_SNIFFED: Final = (b"x-content-type-options", b"nosniff")
_EMPTY: Final = (b"content-length", b"0")
_END: Final = {"type": "http.response.body", "body": b""}
_REFUSALS: Final = {
    HeaderFault.ABSENT: REFUSED_ABSENT,
    HeaderFault.NO_TOKEN: REFUSED_MALFORMED,
    HeaderFault.SPACES: REFUSED_MALFORMED,
    HeaderFault.CHARACTERS: REFUSED_MALFORMED,
}
_FORBIDDEN: Final = "You do not have permission to perform this action."


async def verify_token(request: Request) -> Response:
    """Who is behind a request, for a proxy to ask; any method is answered alike, and no body is read."""
    raise RuntimeError("verify is answered in front of the framework; this stands for it in the document")


verify_resource: Final = Resource(
    PATHS[0],
    "Verify",
    "Verification",
    {
        "GET": Operation(
            verify_token,
            "Verify a token",
            {
                200: documents.response(None, "A live token.") | {"headers": documents.IDENTITY},
                401: documents.UNAUTHENTICATED,
                403: documents.response(
                    documents.Detail,
                    "The token is another organization's; or a child token, and the request is outside of "
                    "its scope, or no trusted proxy told which request it is.",
                ),
                503: documents.UNAVAILABLE,
            },
            {
                "security": documents.TOKEN_SECURITY,
                "parameters": [
                    {
                        "name": "organization_id",
                        "in": "query",
                        "description": "The organization that the token must be of.",
                        "schema": {"type": "string"},
                    },
                    {
                        "name": "X-Organization-Id",
                        "in": "header",
                        "description": "The same, for proxies that cannot set a query.",
                        "schema": {"type": "string"},
                    },
                    *(
                        {
                            "name": name,
                            "in": "header",
                            "description": f"The {what} of the request asked about, by which a child token "
                            "is judged; from trusted proxies only.",
                            "schema": {"type": "string"},
                        }
                        for name, what in (
                            ("X-Forwarded-Method", "method"),
                            ("X-Forwarded-Uri", "path and query"),
                            ("Origin", "origin"),
                        )
                    ),
                ],
            },
        )
    },
)
"""What the OpenAPI document says of it."""


class Verify:
    """Answers verify, and passes everything else on to the application behind."""

    def __init__(self, app: ASGIApp, services: Services, token_header: str | None) -> None:
        self._app = app
        self._services = services
        self._find = services.lookup.find_nowait
        self._note_child = services.lookup.note_child
        self._verdicts = services.counts.verdicts
        self._token_header = token_header.lower().encode("ascii") if token_header else None
        self._read = frozenset((b"authorization", ORGANIZATION_HEADER, self._token_header))

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        """What the server awaits: no coroutine of ours around another one's."""
        if scope["path"] in PATHS and scope["type"] == "http":
            return self._verify(scope, send)
        return self._app(scope, receive, send)

    async def _verify(self, scope: Scope, send: Send) -> None:
        sent: bytes | None = None
        own: bytes | None = None
        organizations: list[bytes] | None = None
        read = self._read
        for name, value in scope["headers"]:
            if name not in read:
                continue
            if name == b"authorization":
                # Several are joined by a comma, which no token survives.
                sent = value if sent is None else sent + b"," + value
            elif name == ORGANIZATION_HEADER:
                organizations = [*(organizations or ()), value]
            else:
                own = value if own is None else own + b"," + value
        if own is not None:
            sent = own if own[:5].lower() == b"token" else b"Token " + own
        client = scope["client"]
        address = client[0] if client else ""
        verdict = self._find(sent or b"", address)
        cell = ACCEPTED
        known: Known | KnownChild
        if type(verdict) is Known:
            known = verdict
        else:
            if isinstance(verdict, HeaderFault | TokenHeader):
                found = await self._known_or_refused(verdict, address, send)
                if found is None:
                    return
                cell = ACCEPTED_READ
            else:
                found = verdict
            if isinstance(found, KnownChild):
                if (why := _why_refused(found, scope)) is not None:
                    self._verdicts[REFUSED_SCOPE + cell] += 1
                    _log.debug("child_token_refused", reason=why, token_id=found.token_id)
                    await _refuse(send, 403, _FORBIDDEN)
                    return
                self._note_child(found, address)
            known = found
        if organizations is not None or scope["query_string"]:
            own_organization = known.packed[: known.packed.index(SEPARATOR)]
            named = (organizations or []) + _asked(scope["query_string"])
            if any(asked != own_organization for asked in named):
                self._verdicts[REFUSED_ORGANIZATION + cell] += 1
                await _refuse(send, 403, _FORBIDDEN)
                return
        self._verdicts[cell] += 1
        await send(_accepted(known.packed))
        await send(_END)

    async def _known_or_refused(
        self, verdict: HeaderFault | TokenHeader, address: str, send: Send
    ) -> Known | KnownChild | None:
        """What the database says where memory does not know; None when a refusal has been sent."""
        invalid = REFUSED_INVALID
        found: Known | KnownChild | HeaderFault
        if isinstance(verdict, HeaderFault):
            found = verdict
        else:
            invalid = REFUSED_INVALID_READ
            try:
                found = await verify_unknown(self._services, verdict, address)
            except Unavailable as error:
                self._verdicts[UNAVAILABLE] += 1
                retry = (b"retry-after", str(error.retry_after).encode("ascii"))
                await _refuse(send, 503, error.public, retry)
                return None
        if isinstance(found, HeaderFault):
            self._verdicts[_REFUSALS.get(found, invalid)] += 1
            await _refuse(send, 401, found.value, (b"www-authenticate", b"Token"))
            return None
        return found


def _why_refused(child: KnownChild, scope: Scope) -> OutOfScope | None:
    """Why the child token does not stand for the request that is asked about; None if it does.

    Each of method and target must be told, once, by a trusted proxy: nobody else knows the request.
    """
    if not is_told_by_proxy(scope):
        return OutOfScope.UNKNOWN
    told: dict[bytes, list[bytes]] = {METHOD_HEADER: [], TARGET_HEADER: [], b"origin": []}
    for name, value in scope["headers"]:
        if name in told:
            told[name].append(value)
    methods, targets, origins = told.values()
    if len(methods) != 1 or len(targets) != 1 or len(origins) > 1:
        return OutOfScope.UNKNOWN
    origin = origins[0].decode("latin-1") if origins else None
    method, target = methods[0].decode("latin-1"), targets[0].decode("latin-1")
    asked = AskedRequest(method, target, origin, told_address(scope))
    return child.scope.why_refused(asked)


@lru_cache(ANSWERS_MAX)
def _accepted(packed: bytes) -> dict[str, Any]:
    """The start of the answer for what is known of a token; the server only reads it."""
    organization, user, role, token_id, expiry, _ = packed.split(SEPARATOR)
    return {
        "type": "http.response.start",
        "status": 200,
        "headers": (
            _NOT_STORED,
            _NOT_SNIFFED,
            _EMPTY,
            (b"x-auth-organization", organization),
            (b"x-auth-user", user),
            (b"x-auth-role", role),
            (b"x-auth-token-id", token_id),
            (b"x-auth-expiry", expiry),
        ),
    }


async def _refuse(send: Send, status: int, sentence: str, *headers: tuple[bytes, bytes]) -> None:
    body = json.dumps({"detail": sentence}).encode("utf-8")
    about = ((b"content-type", b"application/json"), (b"content-length", str(len(body)).encode("ascii")))
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [_NOT_STORED, _NOT_SNIFFED, *about, *headers],
        }
    )
    await send({"type": "http.response.body", "body": body})


def _asked(query: bytes) -> list[bytes]:
    """Every organization that the query names; one that is empty or cannot be read names none there is."""
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, encoding="utf-8", errors="replace")
    return [value.encode("utf-8") for name, value in pairs if name == "organization_id"]
