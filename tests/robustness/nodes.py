"""The system under test: several servers and a service with a verifier of its own, on one database.

A supervisor keeps them running.

On PostgreSQL each node reaches the database through a proxy of its own; the database is a server of
its own too, because faults restart it.
"""

import contextlib
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.postgresql import PostgresqlServer, embedded_installation
from tests.robustness.proxy import Proxy
from tests.robustness.server import VARIABLE, VERIFIER_VARIABLE
from tests.serving import Serving
from tests.sockets import exchange

SERVERS = {"node1": 2, "node2": 1, "node3": 1}
"""Names, and how many workers each has."""
VERIFIERS = {"verifier": 1}
SUPERVISOR_SECONDS = 0.1
RECOVERY_SECONDS_MAX = 60.0


class Node(Serving):
    """A server under the test's entry point, with its name and its proxy; or a verifier's service."""

    def __init__(
        self, name: str, database_url: str, log: Path, workers: int, proxy: Proxy | None, patches: str
    ) -> None:
        self.name = name
        self.is_verifier = name in VERIFIERS
        self.proxy = proxy
        self.workers = workers
        self._patches = patches
        super().__init__(database_url, log, workers=workers, log_level="warning", use_flush_seconds=1)

    def _start(self) -> Any:
        self._command[1:3] = ["-m", "tests.robustness.server"]
        self._environment[VARIABLE] = self._patches
        self._environment[VERIFIER_VARIABLE] = "1" if self.is_verifier else ""
        return super()._start()

    def is_whole(self) -> bool:
        """Whether every worker runs and the node is ready."""
        try:
            return (
                len(self.worker_pids()) == self.workers
                and exchange(self.port, "GET", "/health/ready/", seconds=3).status == 200
            )
        except (OSError, IndexError):
            return False


class Cluster:
    """The nodes, their proxies and their database, from `__enter__` to `__exit__`."""

    def __init__(self, kind: str, folder: Path, patches: str) -> None:
        self.kind = kind
        self._folder = folder
        self._patches = patches
        self._stack = contextlib.ExitStack()
        self._stopping = threading.Event()
        self.postgresql: PostgresqlServer | None = None
        self.database_url = f"sqlite:///{folder}/nightlatch.db"
        self.nodes: list[Node] = []

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            if self.kind == "postgresql-18":
                self.postgresql = PostgresqlServer(embedded_installation())
                stack.callback(self._remove_postgresql, self.postgresql)
                self.database_url = self.postgresql.create_database()
            self._stack = stack.pop_all()
        return self

    @staticmethod
    def _remove_postgresql(server: PostgresqlServer) -> None:
        with contextlib.suppress(Exception):
            server.start()  # a fault may have left it stopped, and `remove` stops it
        server.remove()

    def start_nodes(self) -> None:
        """Start all of them, on a database that has its schema; return when they are ready."""
        for name, workers in (SERVERS | VERIFIERS).items():
            url, proxy = self.database_url, None
            if self.postgresql is not None:
                proxy = Proxy(self.postgresql.port)
                self._stack.callback(proxy.stop)
                url = url.replace(f":{self.postgresql.port}/", f":{proxy.port}/")
            node = Node(name, url, self._folder / f"{name}.log", workers, proxy, self._patches)
            self._stack.callback(self._end, node)
            self.nodes.append(node)
        for node in self.nodes:
            node.wait_ready()
        supervisor = threading.Thread(target=self._supervise)
        self._stack.callback(supervisor.join)
        self._stack.callback(self._stopping.set)
        supervisor.start()

    def _supervise(self) -> None:
        while not self._stopping.wait(SUPERVISOR_SECONDS):
            for node in self.nodes:
                if node.process.poll() is not None:
                    node.restart()

    @staticmethod
    def _end(node: Node) -> None:
        try:
            node.stop()
        except Exception:
            node.kill()

    def wait_whole(self, seconds: float = RECOVERY_SECONDS_MAX) -> bool:
        """Whether every node has all its workers and is ready again within that time."""
        deadline = time.monotonic() + seconds
        while not all(node.is_whole() for node in self.nodes):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def heal(self) -> None:
        """Let everything through again."""
        for node in self.nodes:
            if node.proxy is not None:
                node.proxy.command("heal")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()
