"""A simulated database: cores that statements queue for, and a log that is flushed once at a time.

Times are milliseconds since the simulation began. Whoever simulates calls in the order of time; so each
call can tell at once when what it asks for will be done.
"""

import heapq
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

STATEMENT_MILLISECONDS: Final = 0.3
"""Processor time that PostgreSQL takes for one read of the feed (`python -m bench feed`)."""
CORES: Final = 4
_NORMAL_99: Final = 2.3263
"""What 99 % of a standard normal distribution do not exceed."""


class Times(Protocol):
    """How long something takes each time, in milliseconds."""

    def sample(self, chance: random.Random) -> float:
        """Once."""
        ...


@dataclass(frozen=True, slots=True)
class Constant:
    """Always as long."""

    value: float

    def sample(self, chance: random.Random) -> float:
        """The value."""
        return self.value


@dataclass(frozen=True, slots=True)
class Lognormal:
    """A few times very long: what disks and networks are like."""

    median: float
    p99: float

    def sample(self, chance: random.Random) -> float:
        """Once."""
        return self.median * math.exp(chance.gauss(0, math.log(self.p99 / self.median) / _NORMAL_99))


@dataclass(frozen=True, slots=True)
class Observed:
    """As was measured, at random."""

    values: Sequence[float]

    def sample(self, chance: random.Random) -> float:
        """One of them."""
        return chance.choice(self.values)


@dataclass(frozen=True, slots=True)
class Scenario:
    """Times from a process to the database and back, and of a flush until the standby has confirmed it.

    No flush: there is no synchronous standby, so that reads commit nothing.
    """

    name: str
    round_trip: Times
    flush: Times | None
    cores: int = CORES
    statement: float = STATEMENT_MILLISECONDS


SCENARIOS: Final = (
    Scenario("LAN", Constant(0.5), Lognormal(2, 10)),
    Scenario("zone to zone", Constant(2), Lognormal(5, 30)),
    Scenario("slow disks", Constant(1), Lognormal(15, 80)),
    Scenario("far", Constant(30), Lognormal(40, 120)),
)


class Database:
    """Each statement takes one core; commits that wait for a flush share the next one."""

    def __init__(self, scenario: Scenario, chance: random.Random) -> None:
        self._statement = scenario.statement
        self._flush = scenario.flush
        self._chance = chance
        self._cores_free = [0.0] * scenario.cores
        self._flush_begins = self._flush_ends = 0.0
        self.commits = 0

    def execute(self, arrival: float) -> float:
        """When a statement that arrives then has been executed."""
        executed = max(arrival, self._cores_free[0]) + self._statement
        heapq.heapreplace(self._cores_free, executed)
        return executed

    def commit(self, executed: float) -> float:
        """When the standby has confirmed what is committed then; the same moment where there is none."""
        if self._flush is None:
            return executed
        self.commits += 1
        if executed > self._flush_begins:  # else the flush that comes next takes it along
            self._flush_begins = max(executed, self._flush_ends)
            self._flush_ends = self._flush_begins + self._flush.sample(self._chance)
        return self._flush_ends
