"""A server that measures its own lease while it answers: `/bench/held/?seconds=…&every=…` says how it was.

Its settings are the environment's. The measuring takes place in the event loop that serves the requests.
"""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any, Final
from urllib.parse import parse_qs

from bench.known import settle
from bench.lease.measured import look, timed_engines
from nightlatch.app import built_services
from nightlatch.background import running_background
from nightlatch.edge.asgi import build_application
from nightlatch.hot.currency import Currency
from nightlatch.model.event import Retention
from nightlatch.settings import load_settings
from nightlatch.version import server_version

PATH: Final = "/bench/held/"


class _Measuring:
    """In front of the server's application; everything for other paths is the application's."""

    def __init__(self, application: Any, currency: Currency, reads: list[float]) -> None:
        self._application = application
        self._currency = currency
        self._reads = reads

    def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        """What the server awaits."""
        return (self._held if scope["path"] == PATH else self._application)(scope, receive, send)

    async def _held(self, scope: Any, receive: Any, send: Any) -> None:
        query = parse_qs(scope["query_string"].decode())
        every, seconds = (float(query[name][0]) for name in ("every", "seconds"))
        held = await look(self._currency, self._reads, every, seconds)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(asdict(held)).encode()})


@asynccontextmanager
async def _built() -> AsyncIterator[Any]:
    settings = load_settings({}, None, os.environ)
    async with (
        timed_engines(settings) as (engines, reads),
        built_services(settings, engines) as services,
        running_background(
            *(services, engines, settings.use_flush_seconds),
            Retention(settings.audit_retention_days, settings.audit_address_days),
        ),
    ):
        application = build_application(
            services,
            server_version(),
            settings.cors_origins,
            settings.body_seconds_max,
            settings.token_header,
        )
        yield _Measuring(application, services.currency, reads)


class _Server:
    """Builds everything when the server starts the application's life, as `nightlatch.server` does."""

    def __init__(self) -> None:
        self._application: Any = self._live

    def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        """What granian awaits."""
        return self._application(scope, receive, send)

    async def _live(self, _: Any, receive: Any, send: Any) -> None:
        await receive()
        async with _built() as self._application:
            settle()
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


application = _Server()
