"""Simulating the processes of one database for a while: the only events are statements that arrive there.

Times are milliseconds since the simulation began.
"""

import heapq
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from bench.lease.database import Database, Scenario, Times

WARM_UP: Final = 0.1
"""What is simulated before shares are counted, as a part of what comes after."""


class Trust:
    """The lease of one process, and how long it had one between `begin` and `end`."""

    __slots__ = ("_begin", "_end", "_since", "_until", "held")

    def __init__(self, begin: float, end: float) -> None:
        self._begin, self._end = begin, end
        self._since = self._until = 0.0
        self.held = 0.0

    def renew(self, now: float, until: float) -> None:
        """From now on it lasts until then; until now, as was known before."""
        held = min(self._until, now, self._end) - max(self._since, self._begin)
        if held > 0:
            self.held += held
        self._since, self._until = now, until


@dataclass(frozen=True, slots=True)
class Setting:
    """What a process lives in; `period` is a lease by the reads in it."""

    database: Database
    chance: random.Random
    round_trip: Times
    lease: float
    period: float
    durations: list[float]

    def way(self) -> float:
        """How long it takes to the database this time, or back."""
        return self.round_trip.sample(self.chance) / 2

    def first_begin(self) -> float:
        """When a process begins its first read."""
        return self.period * self.chance.random()

    def next_begin(self, begun: float, now: float) -> float:
        """When a process that began a read then begins the next one, as `nightlatch.fresh.lease` does."""
        return max(now, begun + self.period * (0.9 + 0.1 * self.chance.random()))


class Process(Protocol):
    """One that keeps a lease."""

    def __init__(self, setting: Setting, trust: Trust) -> None: ...

    def start(self) -> float:
        """When its first statement arrives at the database."""
        ...

    def arrive(self, arrival: float) -> float:
        """Do what its statement does that arrives at the database then; when the next one arrives."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """`share` of the time with a lease, over all processes; durations in milliseconds, ascending."""

    share: float
    durations: Sequence[float]
    commits_per_second: float


def exceeded_once_in(times: int, ascending: Sequence[float]) -> float:
    """The value that one in so many exceeds; of fewer values the largest."""
    return ascending[len(ascending) - 1 - len(ascending) // times]


def simulate(
    kind: Callable[[Setting, Trust], Process],
    scenario: Scenario,
    processes: int,
    lease: float,
    reads_per_lease: int,
    leases: int,
    seed: int = 1,
) -> Outcome:
    """So many processes of that kind, for so many leases of so many milliseconds."""
    chance = random.Random(seed)
    database = Database(scenario, chance)
    setting = Setting(database, chance, scenario.round_trip, lease, lease / reads_per_lease, [])
    begin = leases * lease * WARM_UP
    end = begin + leases * lease
    trusts = [Trust(begin, end) for _ in range(processes)]
    alive = [kind(setting, trust) for trust in trusts]
    arrivals = [(process.start(), number) for number, process in enumerate(alive)]
    heapq.heapify(arrivals)
    while arrivals[0][0] < end:
        arrival, number = arrivals[0]
        heapq.heapreplace(arrivals, (alive[number].arrive(arrival), number))
    for trust in trusts:
        trust.renew(end, end)
    share = sum(trust.held for trust in trusts) / (processes * (end - begin))
    return Outcome(share, sorted(setting.durations), database.commits / end * 1000)
