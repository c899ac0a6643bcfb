"""A receiver of traces (OTLP over HTTP), as a collector is one; and two that are none."""

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

SECONDS_MAX = 15.0


@dataclass(frozen=True)
class TakenSpan:
    """A span as it was sent; ids in hexadecimal, "" for no parent."""

    name: str
    trace_id: str
    id: str
    parent: str
    kind: int
    seconds: float
    failed: bool
    attributes: dict[str, Any] = field(hash=False)


class Collector:
    """Takes spans on a port of its own, and keeps every byte that it was sent."""

    def __init__(self) -> None:
        self.received = b""
        self.headers: list[dict[str, str]] = []
        self.resources: list[dict[str, Any]] = []
        self.spans: list[TakenSpan] = []
        self._came = threading.Condition()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.headers.append(dict(self.headers.items()))
                collector.take(body)
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take(self, body: bytes) -> None:
        """Keep what was sent."""
        with self._came:
            self._keep(body)
            self._came.notify_all()

    def _keep(self, body: bytes) -> None:
        self.received += body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resources.append(_values(resource.resource.attributes))
            for scope in resource.scope_spans:
                self.spans += [
                    TakenSpan(
                        span.name,
                        span.trace_id.hex(),
                        span.span_id.hex(),
                        span.parent_span_id.hex(),
                        span.kind,
                        (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
                        span.status.code == 2,
                        _values(span.attributes),
                    )
                    for span in scope.spans
                ]

    def wait(self, wanted: Callable[[TakenSpan], bool], count: int = 1) -> list[TakenSpan]:
        """So many spans of that kind, in the order in which they came. Raises TimeoutError."""

        def found() -> list[TakenSpan]:
            return [span for span in self.spans if wanted(span)]

        with self._came:
            if not self._came.wait_for(lambda: len(found()) >= count, SECONDS_MAX):
                raise TimeoutError(f"there are {self.spans}")
            return found()

    def parts(self, request: TakenSpan) -> list[TakenSpan]:
        """Those of that request."""
        return [span for span in self.spans if span.parent == request.id]

    def close(self) -> None:
        """Take no more."""
        self._server.shutdown()
        self._server.server_close()


class Silence:
    """Accepts connections and never answers."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(0.1)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.connections: list[socket.socket] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                self.connections.append(self._socket.accept()[0])
            except TimeoutError:
                continue

    def close(self) -> None:
        """Close all."""
        self._ended.set()
        self._thread.join()
        for each in [self._socket, *self.connections]:
            each.close()


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
