"""A run: servers, clients and faults for a while, then the check of what happened.

    python -m tests.robustness --database postgresql-18 --operations 1000000

prints a JSON summary and exits with 1 on a violation. The seed decides which faults come in which
order and what clients choose; the interleaving is the machine's. `--patches` names patches of the
servers (patches.py): with one that reopens a hole, violations are what is expected.

A run ends when it has its number of operations and each kind of fault has been injected, or at
`--seconds-max`. Its folder (history, faults, logs; no token in clear) is kept where there are violations.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.accounts import Accounts
from tests.robustness.check import Findings, check
from tests.robustness.clients import ClientPlan, ClientProcess
from tests.robustness.faults import LEASE_SECONDS, Injector
from tests.robustness.history import Fault, History, Operation, read_operations
from tests.robustness.nodes import Cluster

CLIENTS = 3
TENANTS_PER_CLIENT = 3
STOP_SECONDS_MAX = 60.0
SWEEP_SECONDS_MAX = 60.0
CALM_SECONDS = (0.5, 4.0)


@dataclass(slots=True)
class Report:
    """What a run found."""

    database: str
    seed: int
    seconds: float
    folder: Path
    history: History
    findings: Findings
    all_faults_injected: bool
    patches: Sequence[str] = field(default=())

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
        total = sum(findings.operations.values())
        return {
            "database": self.database,
            "seed": self.seed,
            "patches": list(self.patches),
            "seconds": round(self.seconds, 1),
            "operations": total,
            "operations_per_second": round(total / self.seconds),
            "by_kind": counts,
            "faults_survived": dict(sorted(findings.faults.items())),
            "all_faults_injected": self.all_faults_injected,
            "verifies_within_50_ms_on_another_process": findings.close_verifies,
            "ended_tokens_known_to_several_processes": findings.warm_endings,
            "violations": dict(findings.violation_counts),
            "first_violations": [str(violation) for violation in findings.violations[:20]],
            "folder": None if self.is_sound else str(self.folder),
        }


def run(
    database: str,
    operations: int,
    seed: int,
    *,
    patches: Sequence[str] = ("slow_fill",),
    seconds_max: float = 3600,
    calm_seconds: tuple[float, float] = CALM_SECONDS,
    with_faults: bool = True,
) -> Report:
    """Run and check. The folder is left to the caller where the report is not sound."""
    folder = Path(tempfile.mkdtemp(prefix="nightlatch-robustness-"))
    with Cluster(database, folder, ",".join(patches)) as cluster:
        Accounts(cluster.database_url).close()  # makes the schema
        cluster.start_nodes()
        started = time.monotonic()
        faults, complete = _traffic(cluster, folder, operations, seed, seconds_max, calm_seconds, with_faults)
        seconds = time.monotonic() - started
        final = _final_state(cluster.database_url)
    (folder / "faults.json").write_text(json.dumps([asdict(fault) for fault in faults], indent=1))
    history = History(_read(folder), faults)
    report = Report(database, seed, seconds, folder, history, check(history, final), complete, patches)
    if report.is_sound:
        shutil.rmtree(folder)
    return report


def _traffic(
    cluster: Cluster,
    folder: Path,
    operations: int,
    seed: int,
    seconds_max: float,
    calm_seconds: tuple[float, float],
    with_faults: bool,
) -> tuple[list[Fault], bool]:
    settle_seconds = 0 if cluster.postgresql is None else LEASE_SECONDS * 1.1
    servers = {node.name: node.port for node in cluster.nodes if not node.is_verifier}
    verifiers = {node.name: node.port for node in cluster.nodes if node.is_verifier}
    injector = Injector(cluster, seed, calm_seconds)
    with ExitStack() as stack:
        clients = []
        for number in range(CLIENTS):
            plan = ClientPlan(
                number,
                CLIENTS,
                seed,
                cluster.database_url,
                servers,
                verifiers,
                str(folder),
                TENANTS_PER_CLIENT,
                settle_seconds,
            )
            client = ClientProcess(plan)
            stack.callback(client.end)
            clients.append(client)
        _wait_until(lambda: all(client.records > 0 or client.has_ended for client in clients), 60)
        if with_faults:
            injector.start()
            stack.callback(injector.stop)
        else:
            injector.all_injected.set()
        _wait_until(
            lambda: (
                any(client.has_ended for client in clients)
                or injector.error is not None
                or (
                    sum(client.records for client in clients) >= operations and injector.all_injected.is_set()
                )
            ),
            seconds_max,
        )
        if with_faults:
            injector.stop()
        cluster.heal()
        for client in clients:
            if not client.has_ended:
                client.command("stop")
        for client in clients:
            client.stopped.wait(STOP_SECONDS_MAX)
        cluster.wait_whole()
        for client in clients:
            if not client.has_ended:
                client.command("sweep")
        for client in clients:
            client.wait(SWEEP_SECONDS_MAX)
    return injector.faults, injector.all_injected.is_set()


def _wait_until(condition: Any, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)


def _read(folder: Path) -> list[Operation]:
    return list(read_operations(sorted(folder.glob("*.history"))))


def _final_state(database_url: str) -> dict[str, str]:
    accounts = Accounts(database_url)
    try:
        return {row[0]: row[1] for row in accounts.sql("SELECT id, organization_id FROM token")}
    finally:
        accounts.close()


def main() -> int:
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.robustness", description="See run.py.")
    parser.add_argument("--database", choices=("sqlite", "postgresql-18"), required=True)
    parser.add_argument("--operations", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--patches", default="slow_fill", help="comma-separated, from patches.py")
    parser.add_argument("--seconds-max", type=float, default=3600)
    parser.add_argument("--without-faults", action="store_true")
    arguments = parser.parse_args()
    seed = time.time_ns() % 2**32 if arguments.seed is None else arguments.seed
    report = run(
        arguments.database,
        arguments.operations,
        seed,
        patches=tuple(filter(None, arguments.patches.split(","))),
        seconds_max=arguments.seconds_max,
        with_faults=not arguments.without_faults,
    )
    json.dump(report.summary(), sys.stdout, indent=2)
    sys.stdout.write("\n")
    return 0 if report.is_sound else 1
