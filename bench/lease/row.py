"""The alternative that was rejected: one pulse row for all processes, advanced in two commits.

The row holds `proposed` and `confirmed`. Whoever reads them to be equal, and the row not to be locked,
commits proposed = n (passing over a locked row), then confirmed = n, and reads once more. A lease starts
when the process began its last read whose `proposed` was at most the `confirmed` just read - 2. A read
commits nothing.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from bench.lease.database import Database, Scenario
from bench.lease.simulation import Outcome, Process, Setting, Trust, simulate


class _Values(NamedTuple):
    proposed: int
    confirmed: int


class Row:
    """The one row. Calls come in the order of time; what is being committed is locked, and not seen."""

    def __init__(self) -> None:
        self._seen = self._written = _Values(0, 0)
        self._unlocked_at = 0.0

    def read(self, now: float) -> tuple[_Values, bool]:
        """What is seen then, and whether it is locked."""
        locked = now < self._unlocked_at
        if not locked:
            self._seen = self._written
        return self._seen, locked

    def write(self, database: Database, now: float, proposed: int, confirmed: int) -> float:
        """Commit that; when it is confirmed. Only while the row is not locked."""
        self._written = _Values(proposed, confirmed)
        self._unlocked_at = database.commit(now)
        return self._unlocked_at


class Advancer:
    """A process that reads and advances; the durations are of its advances, with the read before."""

    def __init__(self, row: Row, setting: Setting, trust: Trust) -> None:
        self._row = row
        self._setting = setting
        self._trust = trust
        self._begun = setting.first_begin()
        self._reads: list[tuple[float, int]] = []
        self._step: Callable[[float], float] = self._read

    def start(self) -> float:
        """The first read."""
        return self._begun + self._setting.way()

    def arrive(self, arrival: float) -> float:
        """One statement."""
        return self._step(self._setting.database.execute(arrival)) + self._setting.way()

    def _read(self, executed: float) -> float:
        answered = executed + self._setting.way()
        values, locked = self._take(executed, answered)
        if locked or values.proposed != values.confirmed:
            return self._rest(answered)
        self._step = partial(self._propose, values.proposed)
        return answered

    def _propose(self, after: int, executed: float) -> float:
        values, locked = self._row.read(executed)
        if locked or values.proposed != after:
            return self._rest(executed + self._setting.way())
        self._step = partial(self._confirm, after + 1)
        return self._write(executed, after + 1, values.confirmed)

    def _confirm(self, proposed: int, executed: float) -> float:
        self._row.read(executed)
        self._step = self._read_again
        advanced = self._write(executed, proposed, proposed)
        self._setting.durations.append(advanced - self._begun)
        self._begun = advanced
        return advanced

    def _read_again(self, executed: float) -> float:
        answered = executed + self._setting.way()
        self._take(executed, answered)
        return self._rest(answered)

    def _take(self, executed: float, answered: float) -> tuple[_Values, bool]:
        values, locked = self._row.read(executed)
        self._reads.append((self._begun, values.proposed))
        old = [begun for begun, proposed in self._reads if proposed <= values.confirmed - 2]
        if old:
            self._trust.renew(answered, old[-1] + self._setting.lease)
            del self._reads[: len(old) - 1]  # `proposed` never goes back
        return values, locked

    def _write(self, executed: float, proposed: int, confirmed: int) -> float:
        return self._row.write(self._setting.database, executed, proposed, confirmed) + self._setting.way()

    def _rest(self, answered: float) -> float:
        self._step = self._read
        self._begun = self._setting.next_begin(self._begun, answered)
        return self._begun


def simulate_row(
    scenario: Scenario, processes: int, lease: float, reads_per_lease: int, leases: int, seed: int = 1
) -> Outcome:
    """So many processes that share a row."""
    row = Row()

    def process(setting: Setting, trust: Trust) -> Process:
        return Advancer(row, setting, trust)

    return simulate(process, scenario, processes, lease, reads_per_lease, leases, seed)
