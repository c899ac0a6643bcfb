"""Print how long a lease has to be so that it is held 99.9 % of the time, and what is held of others.

`python -m bench.lease [--leases N] [--reads N]`
"""

import argparse
from collections.abc import Callable, Sequence
from typing import Final

from bench.lease.database import SCENARIOS, Scenario
from bench.lease.reader import Reader
from bench.lease.row import simulate_row
from bench.lease.shortest import READS_SEEN, SHARE, lease_needed, shortest_lease
from bench.lease.simulation import Outcome, exceeded_once_in, simulate
from bench.report import print_table
from nightlatch.fresh.lease import READS_PER_LEASE

PROCESSES: Final = (1, 4, 32, 200)
READS: Final = (2, 3, 4, 5, 6)
LEASES: Final = (50, 100, 250, 500, 1000)
LEASE: Final = 250
"""The default one."""
ROW_READS: Final = 5
"""With fewer the row needs a far longer lease."""
LEASES_SIMULATED: Final = 600
FEW_PROCESSES: Final = 10
"""Fewer than these are simulated for longer, so that as many reads are seen."""


class _Simulated:
    """Outcomes of so many leases each."""

    def __init__(self, leases: int) -> None:
        self._leases = leases

    def reading(self, scenario: Scenario, processes: int, lease: float, reads: int) -> Outcome:
        return simulate(Reader, scenario, processes, lease, reads, self._leases_of(processes))

    def row(self, scenario: Scenario, processes: int, lease: float, reads: int) -> Outcome:
        return simulate_row(scenario, processes, lease, reads, self._leases_of(processes))

    def _leases_of(self, processes: int) -> int:
        return self._leases * max(1, FEW_PROCESSES // processes)


def main() -> None:
    """The tables; they take minutes."""
    parser = argparse.ArgumentParser(prog="python -m bench.lease", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--leases", type=int, default=LEASES_SIMULATED, help=f"simulated for each figure ({LEASES_SIMULATED})"
    )
    parser.add_argument(
        "--reads",
        type=int,
        default=READS_PER_LEASE,
        help=f"per lease, in the second table ({READS_PER_LEASE})",
    )
    arguments = parser.parse_args()
    simulated = _Simulated(arguments.leases)
    _print(
        f"Shortest lease, ms, that is held {SHARE:.1%} of the time, by the reads in it",
        [f"{reads} reads" for reads in READS],
        lambda scenario, processes: [
            _milliseconds(_shortest(simulated.reading, scenario, processes, reads)) for reads in READS
        ],
    )
    _print(
        f"Time with a lease, %, of so many ms, with {arguments.reads} reads",
        [f"{lease} ms" for lease in LEASES],
        lambda scenario, processes: [
            _percent(simulated.reading(scenario, processes, lease, arguments.reads).share) for lease in LEASES
        ],
    )
    _print(
        f"What one of {READS_SEEN} reads exceeds at a lease of {LEASE} ms; the lease that the rule asks for",
        ["read, ms", "lease, ms"],
        lambda scenario, processes: _rule(simulated.reading(scenario, processes, LEASE, READS_PER_LEASE)),
    )
    _print(
        f"One pulse row for all, {ROW_READS} reads per lease; beside it {READS_PER_LEASE} reads that commit",
        ["row: shortest lease, ms", "commits/s", "reads: shortest lease, ms", "commits/s"],
        lambda scenario, processes: [
            *_with_commits(simulated.row, scenario, processes, ROW_READS),
            *_with_commits(simulated.reading, scenario, processes, READS_PER_LEASE),
        ],
    )


_Simulate = Callable[[Scenario, int, float, int], Outcome]


def _print(title: str, columns: Sequence[str], row: Callable[[Scenario, int], Sequence[object]]) -> None:
    rows = [
        [scenario.name, processes, *row(scenario, processes)]
        for scenario in SCENARIOS
        for processes in PROCESSES
    ]
    print_table(title, ["scenario", "processes", *columns], rows)


def _shortest(simulate_one: _Simulate, scenario: Scenario, processes: int, reads: int) -> float | None:
    return shortest_lease(lambda lease: simulate_one(scenario, processes, lease, reads))


def _with_commits(
    simulate_one: _Simulate, scenario: Scenario, processes: int, reads: int
) -> tuple[object, object]:
    lease = _shortest(simulate_one, scenario, processes, reads)
    if lease is None:
        return _milliseconds(lease), ""
    commits = simulate_one(scenario, processes, lease, reads).commits_per_second
    return _milliseconds(lease), round(commits)


def _rule(seen: Outcome) -> Sequence[object]:
    read = exceeded_once_in(READS_SEEN, seen.durations)
    return _milliseconds(read), _milliseconds(lease_needed(read))


def _milliseconds(value: float | None) -> object:
    return "none" if value is None else round(value)


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


if __name__ == "__main__":
    main()
