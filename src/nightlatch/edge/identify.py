"""Who makes a request: by its token, or where that is allowed by HTTP Basic."""

import base64
import binascii

import structlog
from starlette.datastructures import Headers
from starlette.requests import Request

from nightlatch.edge.answers import Answer, forbidden, unauthenticated
from nightlatch.edge.origin import client_address, read_origin
from nightlatch.hot.header import HeaderFault, TokenHeader, read_token_header
from nightlatch.hot.known import KnownChild
from nightlatch.model.errors import CredentialsRejected, Throttled
from nightlatch.model.imported import SpelledToken
from nightlatch.model.standing import Caller
from nightlatch.usecases.check_password import Credentials
from nightlatch.usecases.identify import identify
from nightlatch.usecases.services import Services
from nightlatch.usecases.verify import verify

_log = structlog.get_logger("nightlatch")


def authorization(headers: Headers) -> bytes:
    """The Authorization header's value; several are joined by a comma, which no token survives."""
    return ",".join(headers.getlist("authorization")).encode("latin-1")


def refused(fault: HeaderFault) -> Answer:
    """The 401 for a header that names no live token, with its line in the log."""
    if fault is not HeaderFault.ABSENT:
        _log.info("token_refused", reason=fault.name.lower())
    return unauthenticated(fault.value)


def spelled_token(request: Request) -> SpelledToken:
    """The token that the request spells, live or not; raises the Answer 401."""
    header = read_token_header(authorization(request.headers))
    if isinstance(header, TokenHeader):
        return header.token
    raise refused(header)


async def identify_by_token(services: Services, request: Request) -> Caller:
    """Who the token stands for; raises the Answer 401, or 403 for a child token: it is for APIs only."""
    verdict = await verify(services, authorization(request.headers), client_address(request))
    if isinstance(verdict, HeaderFault):
        raise refused(verdict)
    if isinstance(verdict, KnownChild):
        _log.debug("child_token_refused", reason="endpoint", token_id=verdict.token_id)
        raise forbidden()
    return Caller(verdict.identity, verdict.token_id, read_origin(request))


async def identify_by_token_or_basic(services: Services, request: Request) -> Caller:
    """The same, or who the password belongs to in `?organization_id=`; raises the Answer 400, 401 or 403."""
    header = authorization(request.headers)
    if header.split(maxsplit=1)[:1] and header.split(maxsplit=1)[0].lower() == b"basic":
        return await _identify_by_basic(services, request, header)
    return await identify_by_token(services, request)


async def _identify_by_basic(services: Services, request: Request, header: bytes) -> Caller:
    organization_id = request.query_params.get("organization_id", "").strip()
    if not organization_id:
        raise Answer(400, {"organization_id": ["This field is required."]})
    pair = _basic_pair(header)
    if pair is None:
        raise unauthenticated("Invalid username/password.")
    origin = read_origin(request)
    try:
        credentials = Credentials(pair[0], pair[1], organization_id, origin.address)
        identity = await identify(services, credentials, origin)
    except Throttled as error:
        _log.info("basic_refused", code=error.code, reason=error.detail)
        raise
    except CredentialsRejected as error:
        _log.info("basic_refused", reason=error.detail)
        raise unauthenticated("Invalid username/password.") from None
    return Caller(identity, None, origin)


def _basic_pair(header: bytes) -> tuple[str, str] | None:
    parts = header.split()
    if len(parts) != 2:
        return None
    try:
        decoded = base64.b64decode(parts[1], validate=True)
    except binascii.Error:
        return None
    try:
        text = decoded.decode("utf-8")
    except UnicodeDecodeError:
        text = decoded.decode("latin-1")
    username, colon, password = text.partition(":")
    return (username, password) if colon else None
