"""What a PostgreSQL server says of itself: for looking at, not for deciding on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import asyncpg

from nightlatch.store.failures import translated

SECONDS_MAX: Final = 5.0

# The settings are those that a session gets by default: servers of ours override some in theirs.
_STATE: Final = """
    SELECT pg_is_in_recovery() AS standby,
        (SELECT system_identifier FROM pg_control_system()) AS system_identifier,
        CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM pg_control_checkpoint())
            ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int END AS timeline,
        current_setting('server_version') AS version,
        current_setting('server_encoding') AS encoding,
        current_setting('fsync') AS fsync,
        current_setting('full_page_writes') AS full_page_writes,
        current_setting('synchronous_commit') AS synchronous_commit,
        current_setting('synchronous_standby_names') AS synchronous_standby_names,
        current_setting('max_connections')::int
            - current_setting('superuser_reserved_connections')::int AS connections_max
    """
_STANDBYS: Final = "SELECT application_name, sync_state FROM pg_stat_replication ORDER BY application_name"


@dataclass(frozen=True, slots=True)
class ServerState:
    """One server. `clock_ahead_seconds` is its clock's lead over this machine's, to within `clock_doubt`.

    `standbys` are those connected to it: name and `sync_state`, which is None where the role may not see it.
    """

    standby: bool
    system_identifier: int
    timeline: int
    version: str
    encoding: str
    fsync: str
    full_page_writes: str
    synchronous_commit: str
    synchronous_standby_names: str
    connections_max: int
    standbys: tuple[tuple[str, str | None], ...]
    clock_ahead_seconds: float
    clock_doubt_seconds: float


async def read_server_state(url: str, wall_seconds: Callable[[], float]) -> ServerState:
    """The state of the server that this URL of a single host names. Raises StoreUnavailable."""
    with translated():
        connection = await asyncpg.connect(url, timeout=SECONDS_MAX, command_timeout=SECONDS_MAX)
        try:
            state = dict(await connection.fetchrow(_STATE))
            standbys = await connection.fetch(_STANDBYS)
            asked = wall_seconds()
            now = await connection.fetchval("SELECT clock_timestamp()")
            answered = wall_seconds()
        finally:
            connection.terminate()
    return ServerState(
        **state,
        standbys=tuple((row["application_name"] or "", row["sync_state"]) for row in standbys),
        clock_ahead_seconds=now.timestamp() - (asked + answered) / 2,
        clock_doubt_seconds=(answered - asked) / 2,
    )
