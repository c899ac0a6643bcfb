"""Servers to measure, each in processes of its own: Nightlatch, and others on the same granian."""

import os
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.postgresql import free_port
from tests.serving import Serving
from tests.sockets import exchange

from bench.databases import Database
from bench.machine import SERVER_CORE, on_cores, pin
from nightlatch.server import CONNECTIONS_MAX, HEADER_BYTES_MAX, HEADER_SECONDS_MAX

VERIFY: Final = "/api/auth/verify/"
START_SECONDS_MAX: Final = 30
_SETTINGS: Final = {
    "http": "1",
    "loop": "uvloop",
    "workers": "1",
    "backlog": str(CONNECTIONS_MAX),
    "backpressure": str(CONNECTIONS_MAX),
    "http1-buffer-size": str(HEADER_BYTES_MAX),
    "http1-header-read-timeout": str(HEADER_SECONDS_MAX * 1000),
}


@contextmanager
def nightlatch(
    database: Database, cores: Collection[int] = SERVER_CORE, **settings: Any
) -> Iterator[Serving]:
    """`nightlatch serve` with one worker, started on those cores and kept there."""
    log = database.folder / f"nightlatch-{time.monotonic_ns()}.log"
    with on_cores(cores):
        serving = Serving(database.url, log, **settings)
    try:
        serving.wait_ready()
        pin(serving.process.pid, cores)
        yield serving
    finally:
        serving.stop()


@contextmanager
def granian(
    application: str,
    folder: Path,
    cores: Collection[int] = SERVER_CORE,
    interface: str = "asgi",
    environment: Mapping[str, str] | None = None,
) -> Iterator[int]:
    """Another application with the settings that server.py gives to granian; its port."""
    port = free_port()
    log = folder / f"{application.rpartition('.')[2].replace(':', '-')}.log"
    flags = [part for name, value in _SETTINGS.items() for part in (f"--{name}", value)]
    command = [str(Path(sys.executable).parent / "granian"), "--interface", interface, "--no-ws", "--no-log"]
    with on_cores(cores), log.open("wb") as file:
        process = subprocess.Popen(
            [*command, *flags, "--port", str(port), application],
            env={**os.environ, **(environment or {})},
            stdout=file,
            stderr=file,
        )
    try:
        _wait_listening(process, port, log)
        pin(process.pid, cores)
        yield port
    finally:
        process.terminate()
        process.wait(15)


def _wait_listening(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while True:
        try:
            exchange(port, "GET", "/")
        except (OSError, ValueError, IndexError):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"a server did not start:\n{log.read_text()}") from None
            time.sleep(0.05)
        else:
            return


def check_same_headers(port: int, other_port: int, authorization: str) -> None:
    """Stop the run unless both answer verify with the same header names and as many bytes."""

    def shape(of: int) -> list[tuple[str, int]]:
        reply = exchange(of, "GET", VERIFY, [("Authorization", authorization)])
        if reply.status != 200:
            raise SystemExit(f"verify answered {reply.status}: {reply.body!r}")
        return [(name, len(value)) for name, value in reply.headers.items()]

    if shape(port) != shape(other_port):
        raise SystemExit(f"the answers that are compared differ: {shape(port)} and {shape(other_port)}")
