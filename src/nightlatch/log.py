"""Logs: one structured line for each event, on standard error.

Nothing that is handed to a log call may hold a token, a password, an Authorization header or a
database URL. A traceback tells where an error was raised and its type, neither the values of variables nor
its message, into which libraries put what they could not read.

Lines are written by a thread of their own: when nobody takes them, or the disk is full, they are dropped and
counted, and requests go on (OWASP ASVS 16.5.2).
"""

import asyncio
import atexit
import logging
import os
import queue
import select
import sys
import threading
import time
import traceback
from typing import Any, Final

import structlog
from structlog.typing import EventDict, ExcInfo, WrappedLogger

from nightlatch.settings import Settings

LINES_MAX: Final = 4_000
"""Lines that wait to be written; further ones are dropped."""
END_SECONDS: Final = 1.0
"""How long the end of the process waits for lines to be written."""
_CAUSES_MAX: Final = 10

_log = structlog.get_logger("nightlatch")


class LogWriter:
    """Standard error as a file that never blocks whoever writes to it."""

    def __init__(self) -> None:
        self.dropped = 0
        self._accepted = self._done = 0
        self._told = 0
        self._torn = False
        self._encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write_lines, name="log", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Have the line written; drop it where too many wait."""
        if self._lines.qsize() >= LINES_MAX:
            self.dropped += 1
            return
        self._accepted += 1
        self._lines.put(line)

    def flush(self) -> None:
        """Nothing to do: lines are not held back."""

    def wait_written(self, seconds: float = END_SECONDS) -> None:
        """Return when all lines are written, or after that time."""
        deadline = time.monotonic() + seconds
        while self._done < self._accepted and time.monotonic() < deadline:
            time.sleep(0.005)

    def _write_lines(self) -> None:
        while True:
            line = self._lines.get()
            try:
                # A line that was cut off is ended first, or the next one would be lost with it.
                self._write(("\n" if self._torn else "") + line)
                dropped = self.dropped
                if dropped > self._told:
                    _log.warning("log_lines_dropped", count=dropped - self._told)
                    self._told = dropped
            except OSError:
                self.dropped += 1
            finally:
                self._done += 1

    def _write(self, text: str) -> None:
        rest = text.encode(self._encoding, "backslashreplace")
        while rest:
            try:
                # Not through sys.stderr: its lock would be held at the interpreter's end.
                written = os.write(2, rest)
            except BlockingIOError:
                select.select((), (2,), ())
                continue
            rest = rest[written:]
            self._torn = bool(rest)


_writer: LogWriter | None = None


def lines_dropped() -> int:
    """How many lines of this process were dropped."""
    return 0 if _writer is None else _writer.dropped


def configure_logging(settings: Settings) -> None:
    """Set up structlog for this process, and send what libraries log the same way."""
    global _writer
    if _writer is None:
        _writer = LogWriter()
        atexit.register(_writer.wait_written)
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    as_text = settings.log_format == "text" or (settings.log_format == "auto" and sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _without_values,
    ]
    renderer: list[Any] = (
        [_printable, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())] if as_text else [_render_json]
    )
    structlog.configure(
        processors=[*shared, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=_writer),  # type: ignore[arg-type]
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(_writer)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    # Libraries speak of their own inner life below a warning.
    root.setLevel(max(level, logging.WARNING))


def log_loop_errors(loop: asyncio.AbstractEventLoop) -> None:
    """Log what a task left behind without the task's repr, in which the error's message stands."""

    def log_error(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        _log.error("event_loop_error", reason=context["message"], exc_info=context.get("exception"))

    loop.set_exception_handler(log_error)


def _without_values(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """The exception, if there is one, as text: where it was raised, and of which type."""
    raised = event.pop("exc_info", None)
    if raised:
        error = raised if isinstance(raised, BaseException) else _raised(raised)
        if error is not None:
            event["exception"] = _described(error)
    return event


def _raised(exc_info: ExcInfo | bool) -> BaseException | None:
    return exc_info[1] if isinstance(exc_info, tuple) else sys.exc_info()[1]


def _described(error: BaseException) -> str:
    chain = [error]
    while len(chain) < _CAUSES_MAX:
        cause = chain[0].__cause__ or (None if chain[0].__suppress_context__ else chain[0].__context__)
        if cause is None:
            break
        chain.insert(0, cause)
    return "".join(
        "".join(traceback.format_tb(each.__traceback__))
        + f"{type(each).__module__}.{type(each).__qualname__}\n"
        for each in chain
    )


def _render_json(logger: WrappedLogger, name: str, event: EventDict) -> str:
    # In ASCII; what JSON leaves as it is, DEL, a terminal would obey.
    rendered = _to_json(logger, name, event)
    text = rendered if isinstance(rendered, str) else rendered.decode()
    return text.replace("\x7f", "\\u007f")


_to_json: Final = structlog.processors.JSONRenderer()


def _printable(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Every value with what is not printable escaped: it can neither begin a line nor command a terminal."""
    traced = str(event.pop("exception", ""))
    escaped = {key: _escaped(value) for key, value in event.items()}
    if traced:
        escaped["exception"] = "\n".join(f"    {_escaped(line)}" for line in traced.split("\n"))
    return escaped


def _escaped(value: Any) -> Any:
    if isinstance(value, bool | int | float) or value is None:
        return value
    text = value if isinstance(value, str) else repr(value)
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )
