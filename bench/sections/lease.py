"""What part of the time processes may answer from memory, beside what the simulation says (bench/lease).

One of the processes is a server; under load it verifies as fast as it can while people log in, on its
core, which is also the other processes' own. On a PostgreSQL alone, and on one whose commits wait for a
synchronous standby. A probe of the bench's asks the database meanwhile: round trips, and commits such as
the reads make where there is a standby. `rule` is the lease that those reads ask for.
"""

import http.client
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final

from tests.accounts import Accounts, Person
from tests.replication import ReplicatedPair

from bench.baseline import OWASP_HASH
from bench.databases import Database, accounts_on
from bench.fill import add_people
from bench.lease.database import Observed, Scenario
from bench.lease.measured import Held, Probed
from bench.lease.processes import hold, measurers, probe_database
from bench.lease.reader import Reader
from bench.lease.server import PATH
from bench.lease.shortest import READS_SEEN, lease_needed
from bench.lease.simulation import Outcome, exceeded_once_in, simulate
from bench.load import asking, logins_per_second
from bench.machine import LOAD_CORE, SERVER_CORE
from bench.options import Options
from bench.report import percentile, print_table
from bench.servers import VERIFY, granian
from nightlatch.fresh.lease import READS_PER_LEASE

PROCESSES: Final = (1, 4, 32)
LOOKS_PER_SECOND: Final = 1000
"""Of all processes together: looking takes time."""
SECONDS_FACTOR: Final = 5
"""Lapses are few: they are looked for longer than other things."""
SETTLE_SECONDS: Final = 1.0
CONNECTIONS: Final = 32
LOGINS_AT_ONCE: Final = 8
PEOPLE: Final = 3_000
LEASES_SIMULATED: Final = 1_000
_COLUMNS: Final = (
    "",
    "processes",
    "server has a lease, %",
    "the others, %",
    "simulated, %",
    "round trip, ms",
    "commit p50, ms",
    "commit p99, ms",
    "read p50, ms",
    "read p99.9, ms",
    "simulated p99.9, ms",
    "rule, ms",
)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was measured at the same time."""

    server: Held
    others: list[Held]
    probed: Probed


def measure(database: Database, options: Options) -> dict[str, Any]:
    """Shares in percent, times in milliseconds."""
    result = {"alone": _on(database, False, options)}
    with _replicated(database) as replicated:
        result["synchronous_standby"] = _on(replicated, True, options)
    return result


@contextmanager
def _replicated(database: Database) -> Iterator[Database]:
    """An empty database on a pair of servers, which replicate without a proxy between them."""
    with ReplicatedPair() as pair:
        port, name = pair.primary.port, pair.standby.name
        pair.standby.query(
            "ALTER SYSTEM SET primary_conninfo = "
            f"'host=127.0.0.1 port={port} user=postgres application_name={name}'"
        )
        pair.standby.query("SELECT pg_reload_conf()")
        pair.wait_in_sync()
        for server in pair.servers:
            Database(database.kind, "", database.folder, server).pin(LOAD_CORE)
        url = pair.primary.url()
        Accounts(url).close()  # migrates
        yield Database(database.kind, url, database.folder, pair.primary)


def _on(database: Database, synchronous: bool, options: Options) -> dict[str, Any]:
    with accounts_on(database, **OWASP_HASH) as accounts:
        lease = accounts.sql("SELECT lease_milliseconds FROM change_counter")[0][0]
        people = add_people(database, accounts, PEOPLE)
        header = f"Authorization: Token {accounts.log_in(accounts.add_person())}"
    result: dict[str, Any] = {}
    rows = []
    for busy in (False, True):
        for processes in PROCESSES:
            name = "busy" if busy else "idle"
            seen = _measured(database, processes, (header, people) if busy else None, options.seconds)
            summary = _summary(seen, processes, lease, synchronous)
            rows.append([name, processes, *summary.values()])
            result[f"{processes}_{name}"] = summary
    standby = "with a synchronous standby" if synchronous else "alone"
    print_table(f"PostgreSQL {standby}, a lease of {lease} ms", _COLUMNS, rows)
    return {"lease": lease, **result}


def _measured(
    database: Database, processes: int, load: tuple[str, Iterator[Person]] | None, seconds: int
) -> _Seen:
    seconds *= SECONDS_FACTOR
    every = processes / LOOKS_PER_SECOND
    environment = {
        "NIGHTLATCH_DATABASE_URL": database.url,
        **{f"NIGHTLATCH_{name.upper()}": str(value) for name, value in OWASP_HASH.items()},
    }
    with ExitStack() as stack:
        port = stack.enter_context(
            granian("bench.lease.server:application", database.folder, environment=environment)
        )
        others = stack.enter_context(measurers(hold, processes - 1, SERVER_CORE, database.url, every))
        prober = stack.enter_context(measurers(probe_database, 1, LOAD_CORE, database.url))
        if load is not None:
            stack.enter_context(_load(port, *load, seconds + 2 * SETTLE_SECONDS))
        time.sleep(SETTLE_SECONDS)
        others.begin(seconds)
        prober.begin(seconds)
        server = _held(port, every, seconds)
        return _Seen(server, others.answers(), prober.answers()[0])


@contextmanager
def _load(port: int, header: str, people: Iterator[Person], seconds: float) -> Iterator[None]:
    with ThreadPoolExecutor(1) as pool, asking(f"http://127.0.0.1:{port}{VERIFY}", CONNECTIONS, [header]):
        logins = pool.submit(logins_per_second, port, people, LOGINS_AT_ONCE, seconds)
        yield
        logins.result()


def _held(port: int, every: float, seconds: float) -> Held:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds + 20)
    connection.request("GET", f"{PATH}?every={every}&seconds={seconds}")
    held = Held(**json.loads(connection.getresponse().read()))
    connection.close()
    return held


def _summary(seen: _Seen, processes: int, lease: float, synchronous: bool) -> dict[str, Any]:
    reads = sorted(read for held in (seen.server, *seen.others) for read in held.reads)
    round_trip = percentile(seen.probed.round_trips, 50, 2)
    p50, p99 = (percentile(seen.probed.commits, percent, 2) for percent in (50, 99))
    simulated = _simulated(processes, lease, seen.probed, synchronous)
    longest = exceeded_once_in(READS_SEEN, reads)
    return {
        "server_percent": _percent([seen.server]),
        "others_percent": _percent(seen.others) if seen.others else "",
        "simulated_percent": round(100 * simulated.share, 3),
        "round_trip": round_trip,
        "commit_p50": p50,
        "commit_p99": p99,
        "read_p50": percentile(reads, 50, 2),
        "read_p999": round(longest, 2),
        "simulated_read_p999": round(exceeded_once_in(READS_SEEN, simulated.durations), 2),
        "rule": round(lease_needed(longest)),
    }


def _simulated(processes: int, lease: float, probed: Probed, synchronous: bool) -> Outcome:
    # A probe's commit has travelled as well, and has waited for the flush before its own: if anything, the
    # simulation sees too few leases.
    travel = min(probed.round_trips)
    flushes = Observed([max(0.0, commit - travel) for commit in probed.commits])
    scenario = Scenario(
        "measured", Observed(probed.round_trips), flushes if synchronous else None, cores=len(LOAD_CORE)
    )
    return simulate(Reader, scenario, processes, lease, READS_PER_LEASE, LEASES_SIMULATED)


def _percent(held: list[Held]) -> float:
    return round(100 * sum(one.held for one in held) / sum(one.looks for one in held), 3)
