"""Metrics of all worker processes, for Prometheus; docs/metrics.md lists them.

Each worker hands what it has counted on to files in a folder that the main process made for all of them,
once a second; whoever is asked adds up the files (prometheus_client's mode for several processes). What a
worker that died has counted stays counted; its gauges vanish.
"""

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from nightlatch.counts import REQUEST_SECONDS, VERDICTS, WAIT_SECONDS, Durations
from nightlatch.log import lines_dropped

if TYPE_CHECKING:
    from prometheus_client import Counter, Histogram

    from nightlatch.usecases.services import Services

FLUSH_SECONDS: Final = 1.0

_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
_MEMORY: Final = "/dev/shm"  # noqa: S108 - a folder of our own is made in it
_LOGINS: Final = (
    "accepted",
    "credentials_rejected",
    "throttled",
    "token_limit_reached",
    "invalid_value",
    "overloaded",
    "store_unavailable",
)
_STATUS_CLASSES: Final = ("2xx", "4xx", "5xx")


@contextmanager
def metrics_folder() -> Iterator[Path]:
    """A folder for the workers' files, named to them by a variable; removed when the block ends.

    In memory where there is such a place: files that are mapped must not be on a disk that can be full.
    Raises OSError.
    """
    parent = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    folder = tempfile.mkdtemp(prefix="nightlatch-metrics-", dir=parent)
    os.environ[_FOLDER] = folder
    try:
        yield Path(folder)
    finally:
        del os.environ[_FOLDER]
        shutil.rmtree(folder, ignore_errors=True)


class Metrics:
    """One worker's metrics, from what its services count; to be made after `metrics_folder`."""

    def __init__(self, services: "Services", routes: tuple[str, ...], folder: Path) -> None:
        # Here, since importing it decides by the variable whether there are several processes.
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self._services = services
        # Nobody reads a worker's own registry: what counts is in the files.
        own = CollectorRegistry()

        def gauge(name: str, text: str, mode: Literal["livemax", "livesum"]) -> Gauge:
            return Gauge(name, text, registry=own, multiprocess_mode=mode)

        def counter(name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
            return Counter(name, text, labels, registry=own)

        self._verdicts = counter(
            "nightlatch_verify_verdicts",
            "Verdicts of /api/auth/verify/.",
            ("verdict", "reason", "source"),
        )
        self._logins = counter("nightlatch_logins", "Logins.", ("outcome",))
        self._revocations = Histogram(
            "nightlatch_revocation_wait_seconds",
            "From a revocation's commit until it is in force everywhere.",
            registry=own,
            buckets=WAIT_SECONDS,
        )
        self._age = gauge(
            "nightlatch_memory_age_seconds", "Since the last read of the change feed began.", "livemax"
        )
        self._lapsed = counter("nightlatch_memory_lapsed_seconds", "Time without a lease.")
        self._known = gauge("nightlatch_known_tokens", "Live tokens in memory, most in a worker.", "livemax")
        self._workers = gauge("nightlatch_workers", "Worker processes.", "livesum")
        self._pending = gauge(
            "nightlatch_password_hashes_pending", "Hashes being computed or waited for.", "livesum"
        )
        self._threads = gauge("nightlatch_password_hash_threads", "Hashes computed at once.", "livesum")
        self._hashes = counter("nightlatch_password_hashes", "Hashes computed.")
        self._database_errors = counter(
            "nightlatch_database_errors", "Failed uses of the database.", ("operation",)
        )
        self._requests = Histogram(
            "nightlatch_http_request_duration_seconds",
            "Requests but verify.",
            ("route", "status"),
            registry=own,
            buckets=REQUEST_SECONDS,
        )
        self._dropped = counter("nightlatch_log_lines_dropped", "Log lines nobody took.")
        self._flushed: dict[Counter, float] = {}
        self._announce(routes)
        self.flush()
        _reserve(folder)

    def flush(self) -> None:
        """Hand on what has been counted since the last time, and what is the case now."""
        services, counts = self._services, self._services.counts
        for labels, count in zip(VERDICTS, counts.verdicts, strict=True):
            self._raise(self._verdicts.labels(*labels), count)
        for outcome, count in counts.logins.items():
            self._raise(self._logins.labels(outcome), count)
        for operation, count in counts.database_errors.items():
            self._raise(self._database_errors.labels(operation), count)
        add_durations(self._revocations, counts.take_revocation_waits())
        for (route, status), durations in counts.take_requests().items():
            add_durations(self._requests.labels(route, f"{status}xx"), durations)
        self._raise(self._lapsed, services.currency.lapsed_seconds())
        self._raise(self._hashes, services.passwords.hashed)
        self._raise(self._dropped, lines_dropped())
        self._age.set(services.currency.age_seconds())
        self._known.set(len(services.table.known) + len(services.table.children))
        self._workers.set(1)
        self._pending.set(services.passwords.pending)
        self._threads.set(services.passwords.threads)

    def _raise(self, counter: "Counter", to: float) -> None:
        before = self._flushed.get(counter, 0.0)
        if to > before:
            counter.inc(to - before)
            self._flushed[counter] = to

    def _announce(self, routes: tuple[str, ...]) -> None:
        # So that a rate sees the first event, and the files have their size before they are needed.
        for labels in VERDICTS:
            self._verdicts.labels(*labels)
        for outcome in _LOGINS:
            self._logins.labels(outcome)
        for operation in ("read", "write", "feed"):
            self._database_errors.labels(operation)
        for route in routes:
            for status in _STATUS_CLASSES:
                self._requests.labels(route, status)


def add_durations(histogram: "Histogram", durations: Durations) -> None:
    """Have the histogram hold what it would if each duration had been observed; the bounds are the same.

    One by one, those of a busy second would hold up the event loop for milliseconds.
    """
    histogram._sum.inc(durations.total)
    for bucket, count in zip(histogram._buckets, durations.counts, strict=True):
        if count:
            bucket.inc(count)


class Exposition:
    """The sum of all workers' metrics as Prometheus reads them, added up once a second at most."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._text = b""

    def read(self) -> bytes:
        """The text. It takes some milliseconds: not for an event loop."""
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        with self._lock:
            if time.monotonic() - self._read_at > FLUSH_SECONDS:
                _forget_dead(self._folder)
                registry = CollectorRegistry()
                MultiProcessCollector(registry, str(self._folder))  # type: ignore[no-untyped-call]
                self._text = generate_latest(registry)
                self._read_at = time.monotonic()
            return self._text


def _forget_dead(folder: Path) -> None:
    """Remove the gauges of workers that are no more."""
    for file in folder.glob("gauge_live*_*.db"):
        if not os.path.exists(f"/proc/{file.stem.rpartition('_')[2]}"):
            file.unlink(missing_ok=True)


def _reserve(folder: Path) -> None:
    """Take the place that this process's files need: writing to a mapped file that has none is fatal."""
    for file in folder.glob(f"*_{os.getpid()}.db"):
        with file.open("r+b") as opened:
            os.posix_fallocate(opened.fileno(), 0, os.fstat(opened.fileno()).st_size)
