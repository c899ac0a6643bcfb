"""Checks of PostgreSQL: which servers there are, what they promise, and how fast they are read."""

import asyncio
import math
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from nightlatch.clock import Clock
from nightlatch.doctor.finding import Finding, ok, problem, warning
from nightlatch.model.errors import StoreUnavailable
from nightlatch.settings import Settings
from nightlatch.store.changes import PostgresqlFeed
from nightlatch.store.engine import Engines
from nightlatch.store.postgresql_pool import CONNECTIONS_MAX
from nightlatch.store.postgresql_state import ServerState, read_server_state
from nightlatch.store.primary import split_hosts

CLOCK_SECONDS_MAX: Final = 1.0
READS: Final = 20
READ_SECONDS_MAX: Final = 5.0
SLOWEST_READS_PER_LEASE: Final = 3
LEASE_MILLISECONDS: Final = (50, 10_000)
"""The least and the most that can be set."""

_WAITS_FROM_START: Final = {15: 13, 16: 9, 17: 5}
"""By major version, the first minor one that does."""

Servers = Mapping[str, ServerState | StoreUnavailable]


async def read_servers(database_url: str, clock: Clock) -> Servers:
    """The state of each server that the URL names, or why there is none; by HOST:PORT."""
    urls = split_hosts(database_url)
    states = await asyncio.gather(
        *(read_server_state(url, clock.wall_seconds) for url in urls), return_exceptions=True
    )
    found: dict[str, ServerState | StoreUnavailable] = {}
    for url, state in zip(urls, states, strict=True):
        if isinstance(state, BaseException) and not isinstance(state, StoreUnavailable):
            raise state
        found[urlsplit(url).netloc.rpartition("@")[2] or "local socket"] = state
    return found


def newest_primary(servers: Servers) -> ServerState | None:
    """The server that connections are made to: what takes writes, and was promoted last."""
    primaries = [state for state in servers.values() if isinstance(state, ServerState) and not state.standby]
    return max(primaries, key=lambda state: state.timeline, default=None)


def check_servers(servers: Servers) -> list[Finding]:
    """There is one primary, and every other server is a standby of it."""
    primary = newest_primary(servers)
    return [_check_server(host, state, primary, len(servers) == 1) for host, state in servers.items()]


def _check_server(
    host: str, state: ServerState | StoreUnavailable, primary: ServerState | None, alone: bool
) -> Finding:
    check = f"server {host}"
    if isinstance(state, StoreUnavailable):
        if alone or primary is None:
            return problem(
                check, state.detail, "Start it, or correct database_url (NIGHTLATCH_DATABASE_URL)."
            )
        return warning(check, state.detail, "Start it: until then there is nothing to fail over to.")
    role = "standby" if state.standby else "primary"
    found = f"{role}, timeline {state.timeline}, PostgreSQL {state.version}"
    if primary is None:
        return problem(
            check,
            f"{found}: nothing can be written",
            "Name the primary in database_url, or promote a standby.",
        )
    if state.system_identifier != primary.system_identifier:
        return problem(
            check, f"{found}, but of another cluster", "Name servers of one cluster in database_url."
        )
    if not state.standby and state is not primary:
        return problem(
            check,
            f"{found}: a deposed primary, which still takes writes",
            "Fence it now, then rebuild it as a standby.",
        )
    return ok(check, found)


def check_writes(primary: ServerState) -> list[Finding]:
    """What was acknowledged survives a crash and a loss of power."""
    findings = []
    for name, value in (("fsync", primary.fsync), ("full_page_writes", primary.full_page_writes)):
        if value == "on":
            findings.append(ok(name, "on"))
        else:
            findings.append(
                problem(
                    name,
                    f"{value}: a loss of power can lose logouts, and the database",
                    f"Set {name} = on in postgresql.conf, and reload.",
                )
            )
    return findings


def check_synchronous_commit(primary: ServerState) -> Finding:
    """Commits are waited for; those of servers and of ended tokens are, whatever is set."""
    value = primary.synchronous_commit
    if value in ("on", "remote_apply"):
        return ok("synchronous_commit", value)
    return warning(
        "synchronous_commit",
        f"{value} by default: only what servers do, and what ends tokens, is waited for all the same",
        "Set synchronous_commit = on for the role, the database or the server that it was changed for.",
    )


def check_standbys(primary: ServerState) -> Finding:
    """What was acknowledged is on a standby before it may be promoted (H11)."""
    states = [state for _, state in primary.standbys]
    shown = ", ".join(f"{name or 'unnamed'} ({state or '?'})" for name, state in primary.standbys) or "none"
    if None in states:
        return warning(
            "standbys",
            f"{len(states)} connected, but this role may not see how",
            "Allow it to look: GRANT pg_read_all_stats TO the role in database_url.",
        )
    if not primary.synchronous_standby_names:
        if states:
            return warning(
                "standbys",
                f"{shown}; commits wait for none: a promoted one may lack logouts, and accept ended tokens",
                "Set synchronous_standby_names, as docs/operating.md has it.",
            )
        return ok("standbys", "none, and none is waited for: there is nothing to fail over to")
    if not {"sync", "quorum"} & set(states):
        return problem(
            "standbys",
            f"{shown}; commits wait for '{primary.synchronous_standby_names}', which is not connected",
            "Start that standby. Until it confirms, every login and logout is answered with 503.",
        )
    if not waits_from_start(primary.version):
        return warning(
            "standbys",
            f"{shown}; just after a start, PostgreSQL {primary.version} may let commits pass without waiting",
            "Upgrade to 15.13, 16.9, 17.5 or later. Until then never start a deposed primary again.",
        )
    return ok("standbys", f"{shown}; commits wait for '{primary.synchronous_standby_names}'")


def waits_from_start(version: str) -> bool:
    """Whether commits wait for the standby from the very start of the server, as the release notes say."""
    major, minor = (int(part) for part in re.findall(r"\d+", f"{version}.0")[:2])
    least = _WAITS_FROM_START.get(major)
    return major > max(_WAITS_FROM_START) if least is None else minor >= least


def check_encoding(primary: ServerState) -> Finding:
    """Names of all languages can be stored."""
    if primary.encoding == "UTF8":
        return ok("encoding", "UTF8")
    return problem(
        "encoding",
        f"{primary.encoding}: some names and addresses cannot be stored",
        "Create the database anew: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0",
    )


def check_connections(primary: ServerState, settings: Settings) -> Finding:
    """All workers of this node may have all their connections."""
    needed = settings.workers * (CONNECTIONS_MAX + 1)
    found = f"this node opens up to {needed} of the {primary.connections_max} that there are"
    if needed > primary.connections_max:
        return problem("connections", found, "Raise max_connections, or lower workers (NIGHTLATCH_WORKERS).")
    return ok("connections", found)


def check_clock(primary: ServerState) -> Finding:
    """The database's clock, which tokens expire by, and this machine's, which log lines carry, agree."""
    ahead, doubt = primary.clock_ahead_seconds, primary.clock_doubt_seconds
    found = f"the database's is {abs(ahead):.3f} s {'ahead of' if ahead >= 0 else 'behind'} this machine's"
    if abs(ahead) - doubt > CLOCK_SECONDS_MAX:
        return warning("clock", found, "Synchronize both with NTP. Tokens expire by the database's.")
    return ok("clock", found)


async def check_lease(engines: Engines, clock: Clock) -> Finding:
    """The feed is read much faster than its lease runs out; else memory answers only part of the time."""
    feed = PostgresqlFeed(engines.connect)
    try:
        snapshot = (await feed.read(0, READ_SECONDS_MAX)).snapshot  # connects
        seconds = []
        for _ in range(READS):
            begun = clock.elapsed_seconds()
            await feed.read(snapshot.number, READ_SECONDS_MAX)
            seconds.append(clock.elapsed_seconds() - begun)
    except StoreUnavailable as error:
        return problem(
            "lease",
            f"the changes cannot be read: {error.detail.rstrip(': ')}",
            "See what the checks of servers say.",
        )
    finally:
        feed.close()
    return judge_lease(snapshot.lease_seconds, max(seconds))


def judge_lease(lease_seconds: float, slowest_seconds: float) -> Finding:
    """Whether a lease is long enough for reads that take so long."""
    found = (
        f"{lease_seconds * 1000:.0f} ms; the slowest of {READS} reads took {slowest_seconds * 1000:.1f} ms"
    )
    if lease_seconds == 0:
        return ok("lease", f"{found}, which is what each request takes")
    if lease_seconds >= SLOWEST_READS_PER_LEASE * slowest_seconds:
        return ok("lease", found)
    least, most = LEASE_MILLISECONDS
    enough = math.ceil(SLOWEST_READS_PER_LEASE * slowest_seconds * 100) * 10
    advice = f"Run: nightlatch lease set {min(most, max(least, enough))}, or bring the database nearer."
    judge = problem if lease_seconds <= slowest_seconds else warning
    return judge("lease", f"{found}: memory is not always current, and requests wait", advice)
