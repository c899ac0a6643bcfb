"""Finding the primary among the servers that a database URL names."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from nightlatch.store.pulse import WatchedConnection

OTHERS_SECONDS: Final = 1.0
"""How much longer than the first primary the other servers may take to say that they are one."""
COMMAND_SECONDS_MAX: Final = 15.0

_TIMELINE: Final = "SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)"


def split_hosts(database_url: str) -> list[str]:
    """One URL for each server of `postgresql://USER:PASSWORD@HOST:PORT,HOST:PORT/DATABASE`."""
    parts = urlsplit(database_url)
    login, at, hosts = parts.netloc.rpartition("@")
    if "," not in hosts:
        return [database_url]
    return [urlunsplit(parts._replace(netloc=f"{login}{at}{host}")) for host in hosts.split(",")]


async def connect_to_primary(
    urls: Sequence[str], session: Mapping[str, str], seconds_max: float
) -> WatchedConnection:
    """A connection to the server that takes writes; among several, to the one that was promoted last.

    They are all asked at once, so that one which does not answer costs OTHERS_SECONDS at most. A deposed
    primary takes connections and writes as before, but is on an older timeline. Raises what asyncpg and
    the system say of the first server when none is a primary.
    """
    if len(urls) == 1:
        return await _connect(urls[0], session, seconds_max)
    async with asyncio.timeout(seconds_max):
        return await _newest(urls, session, seconds_max)


async def _newest(urls: Sequence[str], session: Mapping[str, str], seconds_max: float) -> WatchedConnection:
    tasks = [asyncio.create_task(_ask(url, session, seconds_max)) for url in urls]
    newest: WatchedConnection | None = None
    try:
        await _answered(tasks)
        primaries = [task.result() for task in tasks if task.done() and task.exception() is None]
        if not primaries:
            return tasks[0].result().connection  # raises what was wrong with it
        newest = max(primaries, key=lambda primary: primary.timeline).connection
        return newest
    finally:
        for task in tasks:
            task.cancel()
            task.add_done_callback(lambda done: _drop(done, newest))


@dataclass(frozen=True, slots=True)
class _Primary:
    timeline: str
    connection: WatchedConnection


async def _answered(tasks: Sequence["asyncio.Task[_Primary]"]) -> None:
    """Wait until all have answered, or OTHERS_SECONDS have passed since the first primary did."""
    pending = set(tasks)
    seconds: float | None = None
    while pending:
        done, pending = await asyncio.wait(pending, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            return
        if any(task.exception() is None for task in done):
            seconds = OTHERS_SECONDS


def _drop(task: "asyncio.Task[_Primary]", newest: WatchedConnection | None) -> None:
    if task.cancelled() or task.exception() is not None:
        return
    connection = task.result().connection
    if connection is not newest:
        connection.terminate()


async def _ask(url: str, session: Mapping[str, str], seconds_max: float) -> _Primary:
    connection = await _connect(url, session, seconds_max)
    try:
        return _Primary(await connection.fetchval(_TIMELINE), connection)
    except BaseException:
        connection.terminate()
        raise


async def _connect(url: str, session: Mapping[str, str], seconds_max: float) -> WatchedConnection:
    # asyncpg reads the URL itself: it knows libpq's parameters (sslmode, sslrootcert, host=/run/…).
    connection: WatchedConnection = await asyncpg.connect(
        url,
        timeout=seconds_max,
        command_timeout=COMMAND_SECONDS_MAX,
        server_settings=dict(session),
        # A standby that a name leads to for a moment must not be kept.
        target_session_attrs="read-write",
        connection_class=WatchedConnection,
    )
    connection.watch()
    return connection
