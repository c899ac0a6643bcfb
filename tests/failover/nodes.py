"""The system under test: several servers, each with a link of its own to either of two databases."""

import contextlib
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.replication import Replica, ReplicatedPair
from tests.robustness.nodes import Node
from tests.robustness.proxy import Proxy

NODES = ("node1", "node2", "node3", "node4")
RECOVERY_SECONDS_MAX = 30.0


class LinkedNode(Node):
    """A server of one worker that reaches each database through a proxy."""

    def __init__(self, name: str, pair: ReplicatedPair, links: dict[str, Proxy], log: Path, patches: str):
        self.links = links
        url = pair.url(*(links[server.name].port for server in pair.servers))
        super().__init__(name, url, log, workers=1, proxy=None, patches=patches)

    def cut_from(self, server: Replica, silently: bool) -> None:
        """Let nothing pass to that database; `silently`: connections stay, and say nothing any more."""
        link = self.links[server.name]
        if silently:
            link.command("stall both")
        else:
            link.command("refuse")
            link.command("cut")


class Cluster:
    """Nodes on a pair of databases that has its schema, from `__enter__` to `__exit__`."""

    def __init__(self, pair: ReplicatedPair, folder: Path, patches: str) -> None:
        self.pair = pair
        self.nodes: list[LinkedNode] = []
        self._folder = folder
        self._patches = patches
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            for name in NODES:
                links = {server.name: Proxy(server.port) for server in self.pair.servers}
                for link in links.values():
                    stack.callback(link.stop)
                node = LinkedNode(name, self.pair, links, self._folder / f"{name}.log", self._patches)
                stack.callback(_end, node)
                self.nodes.append(node)
            for node in self.nodes:
                node.wait_ready()
            self._stack = stack.pop_all()
        return self

    def heal(self) -> None:
        """Let everything pass again."""
        for node in self.nodes:
            for link in node.links.values():
                link.command("heal")
        self.pair.heal_links()

    def wait_whole(self) -> bool:
        """Whether every node is ready within RECOVERY_SECONDS_MAX."""
        deadline = time.monotonic() + RECOVERY_SECONDS_MAX
        while not all(node.is_whole() for node in self.nodes):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()


def _end(node: LinkedNode) -> None:
    try:
        node.stop()
    except Exception:
        node.kill()
