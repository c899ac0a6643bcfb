"""The server: granian with Nightlatch's settings, in one or several processes."""

import asyncio
import contextlib
import gc
import ipaddress
import multiprocessing
import os
import resource
import shutil
import signal
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog
from granian import Granian
from granian.constants import HTTPModes, Interfaces, Loops, SSLProtocols
from granian.errors import ConfigurationError
from granian.http import HTTP1Settings

from nightlatch.log import configure_logging, log_loop_errors
from nightlatch.metrics import Exposition, Metrics, metrics_folder
from nightlatch.model.errors import CannotStart
from nightlatch.second_port import second_port
from nightlatch.settings import Settings
from nightlatch.traces import check_traces, running_traces
from nightlatch.version import server_version

HEADER_BYTES_MAX: Final = 16 * 1024
CONNECTIONS_MAX: Final = 16_384
HEADER_SECONDS_MAX: Final = 15
WORKER_KILL_SECONDS: Final = 10
ORPHAN_KILL_SECONDS: Final = 5.0

_log = structlog.get_logger("nightlatch")


def serve(settings: Settings) -> int:
    """Serve until SIGINT or SIGTERM; the process's exit code.

    An empty SQLite file gets its schema first. Raises CannotStart when the schema, the
    certificate or the address forbid to start.
    """
    # A core dump would hold passwords and tokens. Workers inherit this.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    configure_logging(settings)
    _check_address(settings)
    check_traces(settings.traces)
    asyncio.run(_prepare(settings))
    # Workers are started afresh: nothing opened here is shared with them.
    multiprocessing.set_start_method("spawn", force=True)
    _log.info("starting", version=server_version(), host=settings.host, port=settings.port)
    try:
        server = Granian(
            "nightlatch",
            address=settings.host,
            port=settings.port,
            interface=Interfaces.ASGI,
            workers=settings.workers,
            loop=Loops.uvloop,
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(
                header_read_timeout=HEADER_SECONDS_MAX * 1000, max_buffer_size=HEADER_BYTES_MAX
            ),
            websockets=False,
            backlog=CONNECTIONS_MAX,
            backpressure=CONNECTIONS_MAX,
            log_enabled=False,
            ssl_cert=settings.tls_certificate,
            ssl_key=settings.tls_key,
            ssl_protocol_min=SSLProtocols.tls12,
            respawn_failed_workers=True,
            workers_kill_timeout=WORKER_KILL_SECONDS,
        )
        with metrics_folder() as folder, second_port(settings, Exposition(folder).read):
            server.serve(target_loader=partial(_load, settings, folder), wrap_loader=False)
    except (OSError, ConfigurationError, RuntimeError, ValueError) as error:
        raise CannotStart(f"The server cannot start: {error}") from error
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    return 0


def _check_address(settings: Settings) -> None:
    """Raise CannotStart, before anything is opened, where the server would fail to listen."""
    try:
        address = ipaddress.ip_address(settings.host)
    except ValueError:
        raise CannotStart(
            f"host (NIGHTLATCH_HOST): '{settings.host}' is not an IP address. "
            "For example 127.0.0.1 for this machine only, 0.0.0.0 for all its addresses."
        ) from None
    for name in ("tls_certificate", "tls_key"):
        file = getattr(settings, name)
        if file is not None and not os.access(file, os.R_OK):
            raise CannotStart(f"{name} (NIGHTLATCH_{name.upper()}): {file} cannot be read.")
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise CannotStart(
                f"host, port (NIGHTLATCH_HOST, NIGHTLATCH_PORT): cannot listen on "
                f"{settings.host}:{settings.port}: {error.strerror}."
            ) from None


async def _prepare(settings: Settings) -> None:
    # Imported here, as in `_built`: the main process needs no API, and a worker no migrations. Each
    # import costs the start a few tenths of a second.
    from nightlatch.app import opened_engines
    from nightlatch.store.schema import check_schema, is_empty, migrate

    async with opened_engines(settings) as engines:
        if engines.sqlite_file is not None and await is_empty(engines):
            await migrate(engines)
        await check_schema(engines)


def _load(settings: Settings, metrics: Path) -> Any:
    """The application, built inside a worker process when its event loop starts it."""
    configure_logging(settings)
    return _Worker(settings, metrics)


class _Worker:
    """ASGI application of one worker: builds everything at start-up, takes it down at the end."""

    def __init__(self, settings: Settings, metrics: Path) -> None:
        self._settings = settings
        self._metrics = metrics
        # The first call is that of the server for the application's life.
        self._application: Any = self._live

    def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        """What the server awaits: a request's way leads through no coroutine of ours but its own."""
        return self._application(scope, receive, send)

    async def _live(self, _: Any, receive: Any, send: Any) -> None:
        await receive()
        log_loop_errors(asyncio.get_running_loop())
        async with contextlib.AsyncExitStack() as stack:
            try:
                self._application = await stack.enter_async_context(_built(self._settings, self._metrics))
            except Exception as error:
                _log.exception("worker_failed_to_start")
                await send({"type": "lifespan.startup.failed", "message": type(error).__name__})
                return
            # What is here now stays: a full collection need not look at it again, which takes 50 ms.
            gc.collect()
            gc.freeze()
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


@asynccontextmanager
async def _built(settings: Settings, folder: Path) -> AsyncIterator[Any]:
    from nightlatch.app import built_services, opened_engines
    from nightlatch.background import running_background, running_metrics
    from nightlatch.console.application import build_console
    from nightlatch.edge.asgi import build_application, timed_routes
    from nightlatch.edge.forwarded_for import ForwardedFor
    from nightlatch.mail import build_mailer
    from nightlatch.model.event import Retention

    _end_with_parent(folder)
    mailer = build_mailer(settings)
    retention = Retention(settings.audit_retention_days, settings.audit_address_days)
    async with (
        running_traces(settings.traces) as spans,
        opened_engines(settings) as engines,
        built_services(settings, engines, spans, folder) as services,
        running_background(services, engines, settings.use_flush_seconds, retention),
        running_metrics(Metrics(services, timed_routes(services), folder)),
    ):
        application = build_application(
            services,
            server_version(),
            settings.cors_origins,
            settings.body_seconds_max,
            settings.token_header,
            settings.public_url,
            Exposition(folder).read if settings.metrics_port is None else None,
            spans if settings.traces else None,
            build_console(services, settings.public_url, None if mailer is None else mailer.send),
        )
        trusted = settings.trusted_proxies
        yield ForwardedFor(application, trusted) if trusted else application
    _log.info("worker_stopped", pid=os.getpid())


def _end_with_parent(folder: Path) -> None:
    """End this worker when the main process is gone, however it went: nobody else would."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    loop = asyncio.get_running_loop()

    def orphaned() -> None:
        loop.remove_reader(parent.sentinel)
        _log.warning("main_process_gone", pid=os.getpid())
        shutil.rmtree(folder, ignore_errors=True)
        # A thread, not the loop: it must also end a worker that is stuck outside its loop.
        deadline = threading.Timer(ORPHAN_KILL_SECONDS, os._exit, (1,))
        deadline.daemon = True
        deadline.start()
        signal.raise_signal(signal.SIGTERM)

    loop.add_reader(parent.sentinel, orphaned)
