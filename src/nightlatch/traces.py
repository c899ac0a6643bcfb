"""Traces of requests by OpenTelemetry, for servers that are told to (docs/traces.md).

What is shown are names from closed lists, numbers and times: no path, query, header, person, address or
statement. Spans wait in a bounded queue for a thread that sends them; when nobody takes them they are
dropped.
"""

import asyncio
import importlib.util
import logging
import os
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

import structlog

from nightlatch.model.errors import CannotStart, NightlatchError, Refused
from nightlatch.spans import NO_SPANS, Asked, Part, Spans
from nightlatch.version import server_version

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span, Tracer

FLUSH_SECONDS_MAX: Final = 3.0
"""How long the end of a worker waits for spans to be taken."""
_TRACEPARENT_CHARACTERS_MAX: Final = 128
_METHODS: Final = frozenset(("GET", "POST", "DELETE", "PUT", "PATCH", "OPTIONS", "TRACE"))
_PROTOCOL: Final = "http/protobuf"
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")

_log = structlog.get_logger("nightlatch")


def check_traces(wanted: bool) -> None:
    """Raise CannotStart where traces are wanted and cannot be sent as it is."""
    if not wanted:
        return
    if not _has_exporter():
        raise CannotStart(
            "traces (NIGHTLATCH_TRACES): OpenTelemetry is not installed. "
            "Run: pip install 'nightlatch[traces]'; or leave the setting out."
        )
    for variable in _PROTOCOLS:
        protocol = os.environ.get(variable, _PROTOCOL)
        if protocol != _PROTOCOL:
            raise CannotStart(
                f"traces: {variable} is '{protocol}', but Nightlatch sends {_PROTOCOL} only "
                "(a collector takes it on port 4318)."
            )
    try:
        _new_provider()[0].shutdown()
    except ValueError as error:
        raise CannotStart(f"traces: an OTEL_ variable cannot be used: {error}") from None


def _has_exporter() -> bool:
    try:
        return importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http.trace_exporter") is not None
    except ModuleNotFoundError:
        return False


@asynccontextmanager
async def running_traces(wanted: bool) -> AsyncIterator[Spans]:
    """Spans, sent to where the OTEL_ variables say; those that wait at the end within FLUSH_SECONDS_MAX."""
    if not wanted:
        yield NO_SPANS
        return
    provider, tracer = _new_provider()
    try:
        yield _TracedSpans(tracer)
    finally:
        # A thread that the interpreter does not wait for: a collector may keep it waiting for long.
        flushing = threading.Thread(target=provider.shutdown, name="traces-end", daemon=True)
        flushing.start()
        deadline = asyncio.get_running_loop().time() + FLUSH_SECONDS_MAX
        while flushing.is_alive() and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        if flushing.is_alive():
            _log.warning("traces_not_taken", consequence="those that waited at the end are dropped")


def _new_provider() -> "tuple[TracerProvider, Tracer]":
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    # It repeats what it got and where it sends to, which may hold a key; and a line for each span it drops.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL + 1)
    version = server_version()
    # Nothing else that OpenTelemetry finds out by itself: the command line may hold a database URL.
    resource = Resource({"service.name": "nightlatch", "service.version": version})
    provider = TracerProvider(
        resource=resource.merge(OTELResourceDetector().detect()), shutdown_on_exit=False
    )
    provider.add_span_processor(BatchSpanProcessor(_new_exporter()))
    return provider, provider.get_tracer("nightlatch", version)


def _new_exporter() -> "SpanExporter":
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    class Exporter(SpanExporter):
        """OpenTelemetry's, which tells once that nobody takes traces, and once that somebody does again."""

        def __init__(self) -> None:
            self._inner = OTLPSpanExporter()
            self._failed = 0

        def export(self, spans: "Sequence[ReadableSpan]") -> SpanExportResult:
            result = self._inner.export(spans)
            if result is not SpanExportResult.SUCCESS:
                if not self._failed:
                    _log.warning("traces_not_taken", consequence="they are dropped")
                self._failed += len(spans)
            elif self._failed:
                _log.info("traces_taken_again", dropped=self._failed)
                self._failed = 0
            return result

        def shutdown(self) -> None:
            self._inner.shutdown()  # type: ignore[no-untyped-call]

    return Exporter()


class _TracedSpans(Spans):
    def __init__(self, tracer: "Tracer") -> None:
        self._tracer = tracer
        self._parent: ContextVar[Context | None] = ContextVar("nightlatch_request", default=None)

    def part(self, name: str, system: str = "") -> Part:
        parent = self._parent.get()
        if parent is None:
            return super().part(name)
        return _TracedPart(self._tracer, parent, name, system)

    @contextmanager
    def request(self, method: str, traceparent: str, request_id: str) -> Iterator[Asked]:
        from opentelemetry.trace import SpanKind, set_span_in_context

        method = method if method in _METHODS else "_OTHER"  # OpenTelemetry's name for it
        span = self._tracer.start_span(
            method,
            _caller(traceparent),
            SpanKind.SERVER,
            {"http.request.method": method, "nightlatch.request_id": request_id},
        )
        before = self._parent.set(set_span_in_context(span) if span.is_recording() else None)
        try:
            yield _TracedRequest(span, method)
        finally:
            self._parent.reset(before)
            span.end()


def _caller(traceparent: str) -> "Context":
    """The span that the caller names (W3C Trace Context), if it is one; what else it says is left out."""
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    if not traceparent or len(traceparent) > _TRACEPARENT_CHARACTERS_MAX:
        return Context()
    return TraceContextTextMapPropagator().extract({"traceparent": traceparent}, Context())


class _TracedRequest(Asked):
    def __init__(self, span: "Span", method: str) -> None:
        self._span = span
        self._method = method

    def answered(self, route: str, status: int, outcome: str) -> None:
        from opentelemetry.trace import StatusCode

        self._span.update_name(f"{self._method} {route}")
        self._span.set_attributes({"http.route": route, "nightlatch.outcome": outcome})
        if status:
            self._span.set_attribute("http.response.status_code", status)
        if not 0 < status < 500:
            self._span.set_status(StatusCode.ERROR)


class _TracedPart(Part):
    def __init__(self, tracer: "Tracer", parent: "Context", name: str, system: str) -> None:
        self._tracer = tracer
        self._parent = parent
        self._attributes = {"db.system.name": system} if system else {}
        self._lock = threading.Lock()
        self._span: Span | None = self._begun(name)

    def next(self, name: str) -> None:
        with self._lock:
            if self._span is not None:
                self._span.end()
                self._span = self._begun(name)

    def end(self, error: BaseException | None = None) -> None:
        from opentelemetry.trace import StatusCode

        with self._lock:
            span, self._span = self._span, None
        if span is None:
            return
        if error is not None and not isinstance(error, Refused):  # which is no failure of the part
            # Not its message: libraries put into it what they could not read.
            code = error.code if isinstance(error, NightlatchError) else type(error).__qualname__
            span.set_attribute("error.type", code)
            span.set_status(StatusCode.ERROR)
        span.end()

    def _begun(self, name: str) -> "Span":
        from opentelemetry.trace import SpanKind

        kind = SpanKind.CLIENT if self._attributes else SpanKind.INTERNAL
        return self._tracer.start_span(name, self._parent, kind, self._attributes)
