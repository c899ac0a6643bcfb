"""Real server processes for tests."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.postgresql import free_port
from tests.sockets import exchange


class Serving:
    """`nightlatch serve` in a process of its own, on a free port.

    `starter` is a command that it is started by, such as prlimit; it must become the server itself. `module`
    is run in place of `nightlatch`.
    """

    def __init__(
        self,
        database_url: str,
        log: Path,
        arguments: tuple[str, ...] = (),
        starter: tuple[str, ...] = (),
        module: str = "nightlatch",
        **settings: Any,
    ) -> None:
        self.port = free_port()
        self.log = log
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("NIGHTLATCH_")
        }
        environment |= {
            f"NIGHTLATCH_{name.upper()}": str(value)
            for name, value in {
                "database_url": database_url,
                "port": self.port,
                "password_hash_memory_kib": 8,
                "password_hash_time_cost": 1,
                # Many tests fail on purpose; those about throttling set what they need.
                "failed_logins_per_account": "1000000 per 1h",
                "failed_logins_per_address": "1000000 per 1h",
                **settings,
            }.items()
        }
        self._command = [*starter, sys.executable, "-m", module, "serve", *arguments]
        self._environment = environment
        self.process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as file:
            return subprocess.Popen(self._command, env=self._environment, stdout=file, stderr=file)

    def restart(self) -> None:
        """Start again on the same port, as a supervisor would."""
        self.process.wait()
        self.process = self._start()

    def wait_ready(self, seconds: float = 60) -> "Serving":
        """Return when it answers."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                if exchange(self.port, "GET", "/health/ready/").status == 200:
                    return self
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()  # or it would go on in the back of all other tests
                raise RuntimeError(f"the server did not start:\n{self.log.read_text()}")
            time.sleep(0.05)

    def worker_pids(self) -> list[int]:
        """The worker processes of this server."""
        children = [
            int(pid)
            for task in Path(f"/proc/{self.process.pid}/task").glob("*/children")
            for pid in _text(task).split()
        ]
        return sorted(pid for pid in children if b"spawn_main" in _command(pid))

    def stop(self, seconds: float = 15) -> int:
        """SIGTERM; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def kill(self) -> None:
        """SIGKILL the main process."""
        self.process.kill()
        self.process.wait()


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
