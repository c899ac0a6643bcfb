"""Faults while load is on: each is chosen, begun, ended and recorded here, one after another.

A fault is on record from its beginning until everything it touched answers again. Whose answers it may
disturb is part of the record: a fault of one node does not excuse another node's refusals to verify,
except where SQLite's file is shared (a killed writer's log is recovered by whoever reads next) or the
database itself is hit.
"""

import asyncio
import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable

from tests.robustness.history import Fault, now
from tests.robustness.nodes import Cluster, Node
from tests.robustness.server import SLOW_SPELL_SECONDS, STALL_SECONDS

LEASE_SECONDS = 0.25
DEATH_SECONDS_MAX = 10.0

_Fault = Callable[["Injector"], tuple[tuple[str, ...], str]]
"""Does it and takes it back; the nodes whose answers it may disturb (none: all), and what was chosen."""


class Injector:
    """Injects faults in a thread until it is stopped."""

    def __init__(self, cluster: Cluster, seed: int, calm_seconds: tuple[float, float]) -> None:
        self.cluster = cluster
        self.chance = random.Random(seed)
        self.faults: list[Fault] = []
        self.all_injected = threading.Event()
        self.error: BaseException | None = None
        self._calm_seconds = calm_seconds
        self._finished = threading.Event()
        self._kinds = dict(_EVERYWHERE)
        if cluster.postgresql is not None:
            self._kinds |= _POSTGRESQL
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the fault under way; raises what went wrong in the injector."""
        self._finished.set()
        self._thread.join()
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        try:
            while True:
                kinds = list(self._kinds)
                self.chance.shuffle(kinds)
                for kind in kinds:
                    if self._finished.wait(self.chance.uniform(*self._calm_seconds)):
                        return
                    self._inject(kind)
                self.all_injected.set()
        except BaseException as error:
            self.error = error
            self.all_injected.set()

    def _inject(self, kind: str) -> None:
        start = now()
        # Workers may be gone by the time they are to be hit: that is another fault's doing.
        nodes, detail = self._kinds[kind](self)
        recovered = self.cluster.wait_whole()
        self.faults.append(Fault(kind, start, now(), nodes, detail, recovered))

    def node(self) -> Node:
        """One of them."""
        return self.chance.choice(self.cluster.nodes)

    def worker(self) -> tuple[Node, int]:
        """One of the workers, and its node."""
        while True:
            node = self.node()
            pids = node.worker_pids()
            if pids:
                return node, self.chance.choice(pids)
            time.sleep(0.05)  # what was killed last is being started again

    def hold(self, shortest: float, longest: float) -> str:
        """Let time pass, for as long as the fault is to last; how much, in words."""
        seconds = self.chance.uniform(shortest, longest)
        time.sleep(seconds)
        return f"{seconds:.2f} s"


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _stop_worker(injector: Injector) -> tuple[tuple[str, ...], str]:
    node, pid = injector.worker()
    _send(pid, signal.SIGSTOP)
    try:
        held = injector.hold(0.1, 10 * LEASE_SECONDS)
    finally:
        _send(pid, signal.SIGCONT)
    return (node.name,), f"{pid} of {node.name} for {held}"


def _kill_worker(injector: Injector) -> tuple[tuple[str, ...], str]:
    node, pid = injector.worker()
    _send(pid, signal.SIGKILL)
    _wait_until(lambda: pid not in node.worker_pids())
    return _of_killed(injector, node), f"{pid} of {node.name}"


def _kill_main(injector: Injector) -> tuple[tuple[str, ...], str]:
    node = injector.node()
    killed = node.process
    pid = killed.pid
    killed.kill()
    _wait_until(lambda: node.process is not killed)
    return _of_killed(injector, node), f"{pid} of {node.name}"


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEATH_SECONDS_MAX
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)


def _of_killed(injector: Injector, node: Node) -> tuple[str, ...]:
    return (node.name,) if injector.cluster.postgresql is not None else ()


def _stall_loop(injector: Injector) -> tuple[tuple[str, ...], str]:
    node, pid = injector.worker()
    _send(pid, signal.SIGUSR1)
    time.sleep(STALL_SECONDS[1])  # the fault's own length: it is over when this is
    return (node.name,), f"{pid} of {node.name}"


def _slow_fills(injector: Injector) -> tuple[tuple[str, ...], str]:
    names = []
    for node in injector.cluster.nodes:
        for pid in node.worker_pids():
            _send(pid, signal.SIGUSR2)
        names.append(node.name)
    time.sleep(SLOW_SPELL_SECONDS)  # the fault's own length
    return tuple(names), "all workers"


def _proxy(command: str, shortest: float, longest: float) -> _Fault:
    def inject(injector: Injector) -> tuple[tuple[str, ...], str]:
        node = injector.node()
        assert node.proxy is not None
        node.proxy.command(command)
        held = injector.hold(shortest, longest)
        node.proxy.command("heal")
        return (node.name,), f"{node.name} for {held}"

    return inject


def _delay(injector: Injector) -> tuple[tuple[str, ...], str]:
    node = injector.node()
    seconds = injector.chance.uniform(0.01, 1.5 * LEASE_SECONDS)
    assert node.proxy is not None
    node.proxy.command(f"delay {seconds:.3f}")
    held = injector.hold(0.5, 2)
    node.proxy.command("heal")
    return (node.name,), f"{node.name} by {seconds:.3f} s for {held}"


def _refuse(injector: Injector) -> tuple[tuple[str, ...], str]:
    node = injector.node()
    assert node.proxy is not None
    node.proxy.command("refuse")
    node.proxy.command("cut")
    held = injector.hold(0.2, 2)
    node.proxy.command("heal")
    return (node.name,), f"{node.name} for {held}"


def _restart(mode: str) -> _Fault:
    def inject(injector: Injector) -> tuple[tuple[str, ...], str]:
        server = injector.cluster.postgresql
        assert server is not None
        server.stop(mode)
        held = injector.hold(0, 1)
        server.start()
        return (), f"down for {held}"

    return inject


def _terminate(injector: Injector) -> tuple[tuple[str, ...], str]:
    return (), f"{asyncio.run(_terminate_backends(injector, 3))} of them"


def _terminate_all(injector: Injector) -> tuple[tuple[str, ...], str]:
    return (), f"{asyncio.run(_terminate_backends(injector, 10_000))} of them"


async def _terminate_backends(injector: Injector, count_max: int) -> int:
    import asyncpg

    connection = await asyncpg.connect(injector.cluster.database_url)
    try:
        return len(
            await connection.fetch(
                "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity "
                "WHERE application_name LIKE 'nightlatch%' ORDER BY random() LIMIT $1) AS chosen",
                count_max,
            )
        )
    finally:
        await connection.close()


_EVERYWHERE: dict[str, _Fault] = {
    "worker stopped": _stop_worker,
    "worker killed": _kill_worker,
    "main process killed": _kill_main,
    "loop stalled": _stall_loop,
    "fills slowed": _slow_fills,
}
_POSTGRESQL: dict[str, _Fault] = {
    "database link stalled": _proxy("stall both", 0.5 * LEASE_SECONDS, 12 * LEASE_SECONDS),
    "database link stalled to the server": _proxy("stall to_server", 0.5 * LEASE_SECONDS, 12 * LEASE_SECONDS),
    "database link stalled to the node": _proxy("stall to_client", 0.5 * LEASE_SECONDS, 12 * LEASE_SECONDS),
    "database link delayed": _delay,
    "database link cut": _proxy("cut", 0, 0.2),
    "database link refused": _refuse,
    "database restarted, fast": _restart("fast"),
    "database restarted, immediate": _restart("immediate"),
    "some backends terminated": _terminate,
    "all backends terminated": _terminate_all,
}
