"""The second port, where one is set: metrics and health, apart from the API's; a thread of the main process.

Health is asked of the workers, over the API's own port: what matters is that they answer.
"""

import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from nightlatch.model.errors import CannotStart
from nightlatch.settings import Settings

SECONDS_MAX: Final = 3.0
"""How long a client may be silent, and a worker may take to tell of its health."""
_HEALTH: Final = ("/health/live/", "/health/ready/")
_METRICS: Final = "/metrics/"


@contextmanager
def second_port(settings: Settings, read_metrics: Callable[[], bytes]) -> Iterator[None]:
    """Listen there until the block ends, if `metrics_port` is set. Raises CannotStart if it is taken."""
    if settings.metrics_port is None:
        yield
        return

    # Not earlier: importing it decides by a variable whether there are several processes.
    from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE

    class Handler(BaseHTTPRequestHandler):
        timeout = SECONDS_MAX
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.partition("?")[0].rstrip("/") + "/"
            if path == _METRICS:
                self._answer(200, CONTENT_TYPE, read_metrics())
            elif path in _HEALTH:
                try:
                    self._answer(*_ask_worker(settings, path))
                except (OSError, http.client.HTTPException):
                    self._answer(503, "application/json", b'{"detail": "No worker answers."}')
            else:
                self._answer(404, "application/json", b'{"detail": "Not found."}')

        def _answer(self, status: int, media_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 - the name is http.server's

        def version_string(self) -> str:
            return "nightlatch"

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            """A scrape is no news."""

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in settings.metrics_host else socket.AF_INET

        def handle_error(self, request: object, client_address: object) -> None:
            """Of a client that went away nobody needs to know."""

    try:
        server = Server((settings.metrics_host, settings.metrics_port), Handler)
    except OSError as error:
        raise CannotStart(
            "metrics_host, metrics_port (NIGHTLATCH_METRICS_HOST, NIGHTLATCH_METRICS_PORT): cannot listen on "
            f"{settings.metrics_host}:{settings.metrics_port}: {error.strerror}."
        ) from None
    thread = threading.Thread(target=server.serve_forever, name="second-port", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def _ask_worker(settings: Settings, path: str) -> tuple[int, str, bytes]:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104
    connection: http.client.HTTPConnection
    if settings.tls_certificate is None:
        connection = http.client.HTTPConnection(host, settings.port, timeout=SECONDS_MAX)
    else:
        # To ourselves, and by an address that the certificate need not name.
        context = ssl._create_unverified_context()  # noqa: S323
        connection = http.client.HTTPSConnection(host, settings.port, timeout=SECONDS_MAX, context=context)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.getheader("Content-Type", ""), response.read()
    finally:
        connection.close()
