"""A run: servers, clients and failovers, then the check of what happened.

    python -m tests.failover --failovers 200

prints a JSON summary and exits with 1 on a violation. The seed decides which failovers come in which
order and what clients choose; the interleaving is the machine's. A longer lease leaves more time in which the
old primary is trusted after the promotion, as it may be. `--without-pulse` has the servers trust
a read that no standby confirmed: then violations are what is expected.

The folder of a run (history, faults, logs; no token in clear) is kept where there are violations.
"""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.accounts import Accounts
from tests.failover.failovers import Failover, Failovers
from tests.failover.nodes import Cluster
from tests.replication import ReplicatedPair
from tests.robustness.check import Findings, check
from tests.robustness.clients import ClientPlan, ClientProcess
from tests.robustness.faults import LEASE_SECONDS
from tests.robustness.history import SECOND, History, Kind, Operation, Outcome, read_operations
from tests.robustness.tenants import CHOICES

CLIENTS = 2
TENANTS_PER_CLIENT = 3
KEEPERS_PER_TENANT = 3
"""Together more than two nodes have connections for, so that these cannot hold all of them up."""
BURST_LANES_PER_NODE = 1
VERIFY_PAUSE_SECONDS = 0.04
START_RECORDS = 500
"""Of each client, before the first failover."""
START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 60.0
SWEEP_SECONDS_MAX = 60.0
OVER_HTTP = ("log_in", "log_out", "log_out_everywhere", "revoke")


@dataclass(frozen=True, slots=True)
class Report:
    """What a run found."""

    seed: int
    lease_seconds: float
    seconds: float
    folder: Path
    history: History
    failovers: list[Failover]
    findings: Findings

    @property
    def is_sound(self) -> bool:
        """Whether no promise was broken."""
        return not self.findings.violation_counts

    def summary(self) -> dict[str, Any]:
        """For people and scripts."""
        findings = self.findings
        counts: dict[str, dict[str, int]] = {}
        for (kind, outcome), count in sorted(findings.operations.items()):
            counts.setdefault(kind, {})[outcome] = count
        cycles = [
            (later.promotion - earlier.promotion) / SECOND
            for earlier, later in zip(self.failovers, self.failovers[1:], strict=False)
        ]
        return {
            "seed": self.seed,
            "lease_seconds": self.lease_seconds,
            "seconds": round(self.seconds, 1),
            "failovers": len(self.failovers),
            "by_failover": dict(Counter(failover.kind for failover in self.failovers)),
            "seconds_of_a_failover": _spread(cycles),
            "waits_for_the_standby_cancelled": sum(failover.cancelled for failover in self.failovers),
            "calls": sum(findings.operations.values()),
            "by_kind": counts,
            "verifies_within_50_ms_on_another_process": findings.close_verifies,
            "ended_tokens_known_to_several_processes": findings.warm_endings,
            "seconds_from_promotion_to_a_verify": _spread(self.recoveries(Kind.VERIFY, self.lease_seconds)),
            "seconds_from_promotion_to_a_login": _spread(self.recoveries(Kind.LOGIN, 0.0)),
            "violations": dict(findings.violation_counts),
            "first_violations": [str(violation) for violation in findings.violations[:20]],
            "folder": None if self.is_sound else str(self.folder),
        }

    def recoveries(self, kind: Kind, after_seconds: float) -> list[float]:
        """Seconds from each promotion to the end of the first such call that was done, on each node.

        Only of nodes that reached the new primary all the time. A verify counts if it started when the
        leases from before the promotion had ended: others may rest on one of those.
        """
        calls: defaultdict[str, list[Operation]] = defaultdict(list)
        for operation in self.history.operations:
            if operation.kind is kind and operation.outcome is Outcome.OK:
                calls[operation.node].append(operation)
        for done in calls.values():
            done.sort(key=_start)
        found = []
        for failover in self.failovers:
            since = failover.promoted + int(after_seconds * SECOND)
            for node in failover.reaching:
                end = _first_end(calls[node], since)
                if end is not None:
                    found.append((end - failover.promotion) / SECOND)
        return found


def _start(operation: Operation) -> int:
    return operation.start


def _first_end(calls: Sequence[Operation], since: int) -> int | None:
    """When the first of those that started since then ended; they are in the order of their start."""
    first = None
    for place in range(bisect_left(calls, since, key=_start), len(calls)):
        operation = calls[place]
        if first is not None and operation.start >= first:
            break
        first = operation.end if first is None else min(first, operation.end)
    return first


def _spread(seconds: Sequence[float]) -> dict[str, float] | None:
    if not seconds:
        return None
    return {"median": round(statistics.median(seconds), 2), "max": round(max(seconds), 2)}


def run(
    failovers: int,
    seed: int,
    *,
    lease_seconds: float = LEASE_SECONDS,
    patches: Sequence[str] = (),
    seconds_max: float = 7200,
) -> Report:
    """Run and check. The folder is left to the caller where the report is not sound."""
    folder = Path(tempfile.mkdtemp(prefix="nightlatch-failover-"))
    try:
        report = _run(folder, failovers, seed, lease_seconds, patches, seconds_max)
    except BaseException:
        shutil.rmtree(folder)
        raise
    if report.is_sound:
        shutil.rmtree(folder)
    return report


def _run(
    folder: Path,
    failovers: int,
    seed: int,
    lease_seconds: float,
    patches: Sequence[str],
    seconds_max: float,
) -> Report:
    with ReplicatedPair() as pair:
        _make_schema(pair.primary.url(), round(lease_seconds * 1000))
        with Cluster(pair, folder, ",".join(patches)) as cluster:
            started = time.monotonic()
            made = _traffic(cluster, folder, failovers, seed, seconds_max)
            seconds = time.monotonic() - started
            final = _final_state(pair.primary.url())
    (folder / "failovers.json").write_text(json.dumps([asdict(failover) for failover in made.done], indent=1))
    history = History(list(read_operations(sorted(folder.glob("*.history")))), made.faults)
    return Report(seed, lease_seconds, seconds, folder, history, made.done, check(history, final))


def _make_schema(database_url: str, lease_milliseconds: int) -> None:
    accounts = Accounts(database_url)
    try:
        accounts.sql(
            "UPDATE change_counter SET lease_milliseconds = :lease, lease_waited_milliseconds = :lease",
            lease=lease_milliseconds,
        )
    finally:
        accounts.close()


def _traffic(cluster: Cluster, folder: Path, count: int, seed: int, seconds_max: float) -> Failovers:
    made = Failovers(cluster, seed)
    with ExitStack() as stack:
        clients = []
        for number in range(CLIENTS):
            client = ClientProcess(_plan(cluster, folder, number, seed))
            stack.callback(client.end)
            clients.append(client)
        _wait_until(lambda: all(client.records >= START_RECORDS for client in clients), clients)
        deadline = time.monotonic() + seconds_max
        while len(made.done) < count and time.monotonic() < deadline:
            if any(client.has_ended for client in clients):
                break  # its error is raised below
            made.fail_over()
        for command in ("stop", "sweep"):
            for client in clients:
                if not client.has_ended:
                    client.command(command)
            for client in clients:
                client.stopped.wait(STOP_SECONDS_MAX)
        for client in clients:
            client.wait(SWEEP_SECONDS_MAX)
    return made


def _plan(cluster: Cluster, folder: Path, number: int, seed: int) -> ClientPlan:
    return ClientPlan(
        number,
        CLIENTS,
        seed,
        cluster.pair.url(),
        {node.name: node.port for node in cluster.nodes},
        {},
        str(folder),
        TENANTS_PER_CLIENT,
        0,  # nothing here is done in raw SQL, which would have to settle
        KEEPERS_PER_TENANT,
        BURST_LANES_PER_NODE,
        {name: CHOICES[name] for name in OVER_HTTP},
        VERIFY_PAUSE_SECONDS,
    )


def _wait_until(condition: Any, clients: Sequence[ClientProcess]) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while not condition() and not any(client.has_ended for client in clients):
        if time.monotonic() > deadline:
            raise TimeoutError("the clients did not start")
        time.sleep(0.1)


def _final_state(database_url: str) -> dict[str, str]:
    accounts = Accounts(database_url)
    try:
        return {row[0]: row[1] for row in accounts.sql("SELECT id, organization_id FROM token")}
    finally:
        accounts.close()


def main() -> int:
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.failover", description="See run.py.")
    parser.add_argument("--failovers", type=int, default=20)
    parser.add_argument("--without-pulse", action="store_true")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--lease", type=int, default=round(LEASE_SECONDS * 1000), help="milliseconds")
    parser.add_argument("--seconds-max", type=float, default=7200)
    arguments = parser.parse_args()
    seed = time.time_ns() % 2**32 if arguments.seed is None else arguments.seed
    patches = ("feed_needs_no_pulse",) if arguments.without_pulse else ()
    report = run(
        arguments.failovers,
        seed,
        lease_seconds=arguments.lease / 1000,
        patches=patches,
        seconds_max=arguments.seconds_max,
    )
    json.dump(report.summary(), sys.stdout, indent=2)
    sys.stdout.write("\n")
    return 0 if report.is_sound else 1
