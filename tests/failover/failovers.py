"""Failovers one after another: the standby is promoted, and the old primary lives on for a while.

While it lives deposed, waits for the standby are cancelled there, so that what was committed and never
replicated becomes visible. Then it is ended, and rebuilt as the standby of the new primary.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.failover.nodes import Cluster, LinkedNode
from tests.replication import Replica
from tests.robustness.history import Fault, now

CALM_SECONDS = (0.7, 1.5)
BEFORE_PROMOTION_SECONDS = (0.0, 0.6)
DEPOSED_SECONDS = (1.0, 3.0)
CANCEL_PAUSE_SECONDS = (0.02, 0.4)
CANCEL_CHANCE = 0.75
"""How many of the deposed primaries have waits cancelled."""

_CANCEL = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
_TERMINATE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND random() < 0.5"
)


@dataclass(frozen=True, slots=True)
class Failover:
    """What was done; instants as in a history."""

    kind: str
    promotion: int
    """When the standby was told to be the primary."""
    promoted: int
    """When it took writes."""
    end: int
    """When everything answered again."""
    reaching: tuple[str, ...]
    """The nodes that reached the new primary all the time."""
    cancelled: int
    """Waits for the standby that were cancelled on the deposed primary."""


class Failovers:
    """Makes them, in the calling thread; `faults` is what a history says of them."""

    def __init__(self, cluster: Cluster, seed: int) -> None:
        self.cluster = cluster
        self.pair = cluster.pair
        self.chance = random.Random(seed)
        self.done: list[Failover] = []
        self.faults: list[Fault] = []
        self._kinds: list[str] = []

    def fail_over(self) -> None:
        """One more, after a calm time; all kinds come equally often."""
        if not self._kinds:
            self._kinds = self.chance.sample(list(KINDS), len(KINDS))
        self.hold(CALM_SECONDS)
        kind = self._kinds.pop()
        start = now()
        promotion, promoted, reaching = KINDS[kind](self)
        cancelled = self._live_deposed(self.pair.standby)
        if self.chance.random() < 0.5:
            self.cluster.heal()  # all reach both for a moment
            self.hold((0.0, 0.5))
        self.pair.standby.fence()
        self.cluster.heal()
        self.pair.rebuild()
        recovered = self.cluster.wait_whole()
        names = tuple(node.name for node in reaching)
        self.done.append(Failover(kind, promotion, promoted, now(), names, cancelled))
        self.faults.append(Fault(kind, start, now(), recovered=recovered))

    def promote(self) -> tuple[int, int]:
        """Promote the standby; when that began, and when it was done."""
        self.hold(BEFORE_PROMOTION_SECONDS)
        begun = now()
        self.pair.promote()
        return begun, now()

    def hold(self, seconds: tuple[float, float]) -> None:
        """Let time pass: the length of what is under way."""
        # A part of the scenario: other processes go on meanwhile, and nothing is to have happened after it.
        time.sleep(self.chance.uniform(*seconds))

    def _live_deposed(self, deposed: Replica) -> int:
        """Let time pass, in which waits for the standby may be cancelled; how many were."""
        deadline = time.monotonic() + self.chance.uniform(*DEPOSED_SECONDS)
        cancels = self.chance.random() < CANCEL_CHANCE
        count = 0
        while time.monotonic() < deadline:
            self.hold(CANCEL_PAUSE_SECONDS)
            if cancels:
                count += len(deposed.query(self.chance.choice((_CANCEL, _CANCEL, _TERMINATE))))
        return count


_Reached = tuple[int, int, list[LinkedNode]]


def _pause(failovers: Failovers) -> _Reached:
    """The old primary hangs, and goes on when another has taken its place."""
    old = failovers.pair.primary
    old.pause()
    promoted = failovers.promote()
    failovers.hold((0.0, 1.0))
    old.resume()
    return *promoted, failovers.cluster.nodes


def _restart(failovers: Failovers) -> _Reached:
    """The old primary crashes, and is started again when another has taken its place."""
    old = failovers.pair.primary
    old.stop()
    promoted = failovers.promote()
    failovers.hold((0.0, 0.5))
    old.start()
    return *promoted, failovers.cluster.nodes


def _cut_off(failovers: Failovers) -> _Reached:
    """The standby loses the old primary, which all nodes still reach."""
    failovers.pair.cut_link()
    return *failovers.promote(), failovers.cluster.nodes


def _split(failovers: Failovers) -> _Reached:
    """Half of the nodes reach the old primary only, the other half the new one only."""
    pair, chance, nodes = failovers.pair, failovers.chance, failovers.cluster.nodes
    with_new = chance.sample(nodes, len(nodes) // 2)
    silently = chance.random() < 0.5
    pair.cut_link()
    for node in nodes:
        node.cut_from(pair.primary if node in with_new else pair.standby, silently)
    return *failovers.promote(), with_new


KINDS: dict[str, Callable[[Failovers], _Reached]] = {
    "old primary paused": _pause,
    "old primary restarted": _restart,
    "standby cut off": _cut_off,
    "nodes split": _split,
}
