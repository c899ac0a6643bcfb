"""What is fuzzed: each target takes bytes, and raises if they break a rule."""

import asyncio
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from atheris import FuzzedDataProvider
from starlette.requests import Request

from nightlatch.app import built_services, opened_engines
from nightlatch.edge import forwarded_for
from nightlatch.edge.answers import Answer
from nightlatch.edge.asgi import build_application
from nightlatch.edge.body import read_body, read_form
from nightlatch.edge.fields import read_login
from nightlatch.hot.header import HeaderFault, TokenHeader, read_token_header
from nightlatch.model.errors import CannotStart
from nightlatch.model.imported import Algorithm, ImportedKind
from nightlatch.model.scope import parse_address
from nightlatch.model.token import PlainToken, TokenDigest, generate_token, parse_token
from nightlatch.settings import Settings, load_settings
from nightlatch.store.schema import migrate

PATHS: Final = (
    "/api/auth/login/",
    "/api/auth/logout/",
    "/api/auth/logoutall/",
    "/api/auth/tokens/",
    "/api/auth/introspect/",
    "/api/auth/revoke/",
    "/api/auth/verify/",
    "/api/v1/organizations/",
    "/health/ready/",
)
METHODS: Final = ("POST", "GET", "DELETE", "HEAD", "OPTIONS", "PUT")
CONTENT_TYPES: Final = (
    b"application/json",
    b"application/x-www-form-urlencoded",
    b"multipart/form-data; boundary=b",
    b"application/json; charset=utf-16",
)


_KINDS: Final = tuple(
    ImportedKind(algorithm, "", characters) for algorithm in Algorithm for characters in (32, 40, 64)
)


def header(data: bytes) -> None:
    """An Authorization header is a token that reads back as it was written, or a fault."""
    found = read_token_header(data)
    if isinstance(found, TokenHeader):
        again = read_token_header(b"token " + data.split()[1])
        if not isinstance(again, TokenHeader) or _stored(again) != _stored(found):
            raise AssertionError("one token, two readings")
    elif not isinstance(found, HeaderFault):
        raise AssertionError(repr(found))


def _stored(header: TokenHeader) -> tuple[TokenDigest, ...]:
    token = header.token
    return (token.digest,) if isinstance(token, PlainToken) else token.digests(_KINDS)


def token(data: bytes) -> None:
    """A token with anything changed is none."""
    provider = FuzzedDataProvider(data)
    place, character = provider.ConsumeIntInRange(0, len(_TOKEN) - 1), provider.ConsumeBytes(1)
    changed = _TOKEN[:place] + character + _TOKEN[place + 1 :]
    if changed != _TOKEN and parse_token(changed) is not None:
        raise AssertionError("a checksum that does not check")
    parse_token(provider.ConsumeBytes(200))


def forwarded(data: bytes) -> None:
    """X-Forwarded-For of a trusted proxy gives an address, whatever it says."""
    scope: dict[str, Any] = {
        "type": "http",
        "client": ("127.0.0.1", 1),
        "headers": [(b"x-forwarded-for", data)],
    }
    _FORWARDED(scope, None, None)  # type: ignore[arg-type]
    if parse_address(scope["client"][0]) is None:
        raise AssertionError("no address")


def body(data: bytes) -> None:
    """A body is read, or refused with an Answer of 4xx; so are a login's fields."""
    provider = FuzzedDataProvider(data)
    content_type = provider.PickValueInList([*CONTENT_TYPES, provider.ConsumeBytes(40)])
    request = _request(content_type, provider.ConsumeBytes(provider.remaining_bytes()))
    for read in (read_body, read_form):
        try:
            found = _at_once(read(request))
            if read is read_body:
                read_login(found)
        except Answer as answer:
            if not 400 <= answer.status < 500:
                raise


def settings(data: bytes) -> None:
    """Settings are read, or refused with CannotStart."""
    provider = FuzzedDataProvider(data)
    names = sorted(Settings.model_fields)
    variables = {
        f"NIGHTLATCH_{provider.PickValueInList(names).upper()}": provider.ConsumeUnicode(60)
        for _ in range(provider.ConsumeIntInRange(0, 4))
    }
    try:
        load_settings({}, None, variables)
    except CannotStart as error:
        if "Traceback" in error.public:
            raise


def application(data: bytes) -> None:
    """The whole application answers every request, and never with a 5xx."""
    provider = FuzzedDataProvider(data)
    method = provider.PickValueInList(list(METHODS))
    path = provider.PickValueInList([*PATHS, "/" + provider.ConsumeUnicodeNoSurrogates(20)])
    headers = [
        (b"content-type", provider.PickValueInList([*CONTENT_TYPES, provider.ConsumeBytes(40)])),
        (b"authorization", provider.PickValueInList([b"Token " + _TOKEN, provider.ConsumeBytes(60)])),
    ]
    query = provider.ConsumeBytes(20)
    status = _served().status(method, path, query, headers, provider.ConsumeBytes(2000))
    if not 100 <= status < 500:
        raise AssertionError(f"{method} {path} {query!r} {headers}: {status}")


TARGETS: Final[dict[str, tuple[Callable[[bytes], None], float]]] = {
    "header": (header, 0.4),
    "token": (token, 0.3),
    "forwarded": (forwarded, 0.15),
    "body": (body, 0.12),
    "settings": (settings, 0.02),
    "application": (application, 0.01),
}
"""With the share of all inputs that each one gets: the slow ones get fewer."""

_TOKEN: Final = generate_token().reveal().encode()


async def _nothing(*_: Any) -> None:
    return None


_FORWARDED: Final = forwarded_for.ForwardedFor(
    lambda *_: _nothing(),
    Settings.model_validate({"trusted_proxies": "127.0.0.0/8,10.0.0.0/8,::1"}).trusted_proxies,
)


def _request(content_type: bytes, raw: bytes) -> Request:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": raw, "more_body": False}

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"content-type", content_type)]}
    return Request(scope, receive)


def _at_once(coroutine: Any) -> Any:
    """The result of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits for something")


class _Served:
    """The application on an SQLite file, on a loop of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._stack = AsyncExitStack()
        self._app = self._loop.run_until_complete(self._build())

    async def _build(self) -> Any:
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="nightlatch-fuzz-"))
        made = load_settings(
            {
                "database_url": f"sqlite:///{Path(folder) / 'nightlatch.db'}",
                "password_hash_memory_kib": 64,
                "password_hash_time_cost": 1,
                "log_level": "error",
            },
            None,
            {},
        )
        engines = await self._stack.enter_async_context(opened_engines(made))
        await migrate(engines)
        services = await self._stack.enter_async_context(built_services(made, engines))
        return build_application(services, "0", ("*",), 10.0, None)

    def status(
        self, method: str, path: str, query: bytes, headers: list[tuple[bytes, bytes]], raw: bytes
    ) -> int:
        """What the request is answered with."""
        answered: list[int] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": raw, "more_body": False}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                answered.append(message["status"])

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "scheme": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query,
            "headers": headers,
            "client": ("192.0.2.1", 1),
            "server": ("127.0.0.1", 8000),
        }
        self._loop.run_until_complete(self._app(scope, receive, send))
        return answered[0]


_built: list[_Served] = []


def _served() -> _Served:
    if not _built:
        _built.append(_Served())
    return _built[0]
