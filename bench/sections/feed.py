"""What it costs PostgreSQL and a process to keep memory current, by the lease and the processes.

Nothing else goes on: no requests, no changes. Processor time is of a core, in milliseconds per second:
10 is one percent.
"""

from typing import Any, Final

from tests.accounts import Accounts

from bench.databases import Database, accounts_on
from bench.machine import SERVER_CORE
from bench.options import Options
from bench.readers import reading
from bench.report import print_table

LEASES: Final = (100, 250, 1000)
PROCESSES: Final = (1, 32)


def measure(database: Database, options: Options) -> dict[str, Any]:
    """Means over the processes."""
    result: dict[str, Any] = {}
    with accounts_on(database) as accounts:
        for lease in LEASES:
            _set_lease(accounts, lease)
            for processes in PROCESSES:
                result[f"{lease}_{processes}"] = _measured(database, processes, options.seconds)
    names = [key.split("_") for key in result]
    print_table(
        "The feed: reads and processor time are of one process",
        [
            "lease ms",
            "processes",
            "reads/s",
            "PostgreSQL, ms of a core each second",
            "process, ms of a core each second",
            "time with a lease, %",
        ],
        [[*name, *result["_".join(name)].values()] for name in names],
    )
    return result


def _set_lease(accounts: Accounts, milliseconds: int) -> None:
    accounts.sql(
        "UPDATE change_counter SET lease_milliseconds = :value, lease_waited_milliseconds = :value",
        value=milliseconds,
    )


def _measured(database: Database, processes: int, seconds: int) -> dict[str, float]:
    # PostgreSQL is on LOAD_CORE; the processes are on the other, for each to find its time.
    with reading(database.url, processes, SERVER_CORE, seconds) as readers:
        assert readers is not None
        each = readers.measure()

    def mean(name: str) -> float:
        return sum(one[name] for one in each) / len(each)

    return {
        "reads_per_second": round(mean("reads_per_second"), 2),
        "backend_milliseconds": round(mean("backend_cpu_seconds") * 1000, 2),
        "own_milliseconds": round(mean("own_cpu_seconds") * 1000, 2),
        "with_lease_percent": round(
            100 * sum(one["held"] for one in each) / sum(one["looks"] for one in each), 3
        ),
    }
