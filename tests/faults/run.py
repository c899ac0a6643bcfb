"""One fault, from before it to after it: what was answered, and what should not have been."""

import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.faults.breakage import Fault, NoDescriptors
from tests.faults.probes import (
    AFTERWARDS,
    Client,
    Endpoint,
    Status,
    Tenant,
    accepted_ended,
    expect,
    note,
    statuses_until,
)
from tests.faults.sites import Site

READY_SECONDS_MAX = 1.1
"""Readiness is right a second after whatever happened."""
EXPIRIES = {"30 min": 1800, "12 h": 43200}


@dataclass
class Outcome:
    """What a fault did. Statuses are the different ones, in order; `expiring` is by seconds to expiry."""

    fault: Fault
    during: dict[Endpoint, list[Status]] = field(default_factory=lambda: {each: [] for each in Endpoint})
    after: dict[Endpoint, list[Status]] = field(default_factory=dict)
    expiring: dict[int, tuple[Status, Status]] = field(default_factory=dict)
    """During and after."""
    recovered_seconds: float = 0.0
    """From the end of the fault to the first right answer of every endpoint."""
    kept_worker: bool = True
    violations: list[str] = field(default_factory=list)


def run(site: Site, fault: Fault) -> Outcome:
    """Let the fault come and go, asking all the time."""
    outcome = Outcome(fault)
    clear = Client(site.serving.port, keeps=False)
    tenant = Tenant.settled(site.accounts, clear)
    expiring = _expiring(site, tenant, clear) if fault.step_seconds else {}
    client = during = Client(site.serving.port, fault.keeps_connection, fault.answer_seconds)
    expect(client.ask("GET", "/health/live/")[0], 200)
    workers = site.serving.worker_pids()
    try:
        try:
            fault.strike()
            _round(client, tenant, outcome)
            fault.worsen()
            time.sleep(READY_SECONDS_MAX)
            _round(client, tenant, outcome)
            seen = {seconds: _verify(client, token) for seconds, token in expiring.items()}
            if fault.step_seconds:
                expect(_mistyped(client, tenant), 400)
        finally:
            fault.heal()
        healed = time.monotonic()
        client = client if fault.keeps_connection else clear
        for endpoint in Endpoint:
            outcome.after[endpoint] = statuses_until(_asking(tenant, client, endpoint), AFTERWARDS[endpoint])
        outcome.recovered_seconds = time.monotonic() - healed
    finally:
        during.close()
    outcome.expiring = {
        seconds: (seen[seconds], _verify(clear, token)) for seconds, token in expiring.items()
    }
    outcome.kept_worker = workers == site.serving.worker_pids()
    outcome.violations += _violations(site, tenant, clear, outcome)
    return outcome


def _asking(tenant: Tenant, client: Client, endpoint: Endpoint) -> Callable[[], Status]:
    return lambda: tenant.probe(client, endpoint)


def _round(client: Client, tenant: Tenant, outcome: Outcome) -> None:
    for endpoint in Endpoint:
        note(outcome.during[endpoint], tenant.probe(client, endpoint))
    if accepted_ended(client, tenant):
        outcome.violations.append("an ended token is accepted during the fault")


def _expiring(site: Site, tenant: Tenant, client: Client) -> dict[int, str]:
    """Tokens by the seconds that they have left to live; memory knows of them."""
    tokens = {}
    for seconds in EXPIRIES.values():
        tokens[seconds] = tenant.log_in(client, seconds)
        tokens[-seconds] = tenant.log_in(client, 3600)
        site.accounts.set_expiry(tokens[-seconds], -seconds)
        expect(_verify(client, tokens[seconds]), 200)
        expect(_verify(client, tokens[-seconds]), 401)
    return tokens


def _verify(client: Client, token: str) -> Status:
    return client.ask("GET", "/api/auth/verify/", token)[0]


def _mistyped(client: Client, tenant: Tenant) -> Status:
    data = tenant.person.login_body | {"password": "not the password"}
    return client.ask("POST", "/api/auth/login/", data=data)[0]


def _violations(site: Site, tenant: Tenant, client: Client, outcome: Outcome) -> list[str]:
    found = tenant.contradictions(client)
    for endpoint, statuses in outcome.during.items():
        for status in statuses:
            # Whoever has a new connection while there are no descriptors is not answered, and does not wait.
            unanswered = status is None and isinstance(outcome.fault, NoDescriptors)
            if status not in (AFTERWARDS[endpoint], 503) and not unanswered:
                found.append(f"{endpoint.value}: {status} during the fault")
    for endpoint, statuses in outcome.after.items():
        if statuses[-1] != AFTERWARDS[endpoint]:
            found.append(f"{endpoint.value}: {statuses[-1]} for a long time after the fault")
        if not set(statuses) <= {AFTERWARDS[endpoint], 503, None}:
            found.append(f"{endpoint.value}: {statuses} after the fault")
    for seconds, (during, after) in outcome.expiring.items():
        if during != (200 if seconds > outcome.fault.step_seconds else 401):
            found.append(f"{seconds} s before expiry: {during} during the fault")
        if after != (200 if seconds > 0 else 401):
            found.append(f"{seconds} s before expiry: {after} after the fault")
    if outcome.expiring:
        mistyped = _mistyped(client, tenant)
        if mistyped != 400:
            found.append(f"a wrong password is answered with {mistyped} after the fault")
    if site.sqlite_file is not None:
        connection = sqlite3.connect(site.sqlite_file)
        faults = connection.execute("PRAGMA integrity_check").fetchall()
        connection.close()
        if faults != [("ok",)]:
            found.append(f"the file is damaged: {faults}")
    if "Traceback" in site.serving.log.read_text():
        found.append("a traceback in the log")
    return found
