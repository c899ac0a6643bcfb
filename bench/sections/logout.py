"""How long a logout takes until it is in force everywhere, and answered.

With 1, 8 and 32 processes that read the changes (the server is one of them), on an idle server and on
one that answers verify as fast as it can. To compare: one commit of the database by itself, and on
PostgreSQL the wait that follows it.
"""

import asyncio
import http.client
import sqlite3
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import asyncpg
from tests.accounts import Accounts, Person

from bench.databases import Database, accounts_on
from bench.load import asking
from bench.machine import LOAD_CORE
from bench.options import Options
from bench.readers import reading
from bench.report import percentile, print_table
from bench.servers import VERIFY, nightlatch
from nightlatch.fresh.lease import CLOCK_RATE_FACTOR, MARGIN_SECONDS

PROCESSES: Final = (1, 8, 32)
CONNECTIONS: Final = 16
LOGOUT: Final = "/api/auth/logout/"


def measure(database: Database, options: Options) -> dict[str, Any]:
    """p50 and p99 in milliseconds."""
    commits = _commits(database, options.logouts)
    with accounts_on(database) as accounts, nightlatch(database) as serving:
        person = accounts.add_person()
        header = f"Authorization: Token {accounts.log_in(accounts.add_person())}"
        url = f"http://127.0.0.1:{serving.port}{VERIFY}"
        wait = 0.0
        if database.file is None:
            lease = accounts.sql("SELECT lease_waited_milliseconds FROM change_counter")[0][0]
            wait = lease * CLOCK_RATE_FACTOR + MARGIN_SECONDS * 1000
        result: dict[str, Any] = {
            "wait": wait,
            "commit": {"p50": percentile(commits, 50, 2), "p99": percentile(commits, 99, 2)},
        }
        rows: list[Any] = [["one commit", "", "", *result["commit"].values(), "", ""]]
        for processes in PROCESSES:
            for busy in (False, True):
                with ExitStack() as stack:
                    stack.enter_context(reading(database.url, processes - 1, LOAD_CORE))
                    seen = stack.enter_context(asking(url, CONNECTIONS, [header])) if busy else []
                    each = _logouts(serving.port, accounts, person, options.logouts)
                rate = round(seen[0].rate) if seen else 0
                measured = {
                    "p50": percentile(each, 50, 2),
                    "p99": percentile(each, 99, 2),
                    "beyond_wait_p50": percentile([one - wait for one in each], 50, 2),
                    "beyond_wait_p99": percentile([one - wait for one in each], 99, 2),
                }
                name = f"{processes} processes" if processes > 1 else "1 process"
                rows.append([name, "busy" if busy else "idle", rate or "", *measured.values()])
                result[f"{processes}_{'busy' if busy else 'idle'}"] = {**measured, "verify_rate": rate}
    print_table(
        f"Logout, {options.logouts} in each row; the wait is {wait:.0f} ms",
        ["", "server", "verify/s", "p50 ms", "p99 ms", "p50 - wait", "p99 - wait"],
        rows,
    )
    return result


def _logouts(port: int, accounts: Accounts, person: Person, count: int) -> list[float]:
    """Milliseconds of each. Its token is known to the server before, and refused after."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)

    def ask(method: str, path: str, token: str) -> int:
        connection.request(method, path, headers={"Authorization": f"Token {token}"})
        response = connection.getresponse()
        response.read()
        return response.status

    each = []
    for _ in range(count):
        token = accounts.log_in(person)
        before = ask("GET", VERIFY, token)
        begin = time.perf_counter()
        status = ask("POST", LOGOUT, token)
        each.append((time.perf_counter() - begin) * 1000)
        after = ask("GET", VERIFY, token)
        if (before, status, after) != (200, 204, 401):
            raise SystemExit(f"verify, logout, verify were answered {before}, {status}, {after}")
    connection.close()
    return each


def _commits(database: Database, count: int) -> list[float]:
    """Milliseconds of one durable commit each, of a row of our own."""
    if database.file is not None:
        return _sqlite_commits(database.folder / "commits.db", count)
    return asyncio.run(_postgresql_commits(database.url, count))


def _sqlite_commits(file: Path, count: int) -> list[float]:
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE row (n integer)")

    def commit() -> None:
        connection.execute("INSERT INTO row VALUES (1)")

    each = [_milliseconds(commit) for _ in range(count)]
    connection.close()
    return each


async def _postgresql_commits(url: str, count: int) -> list[float]:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("CREATE TABLE bench_row (n integer)")
        each = []
        for _ in range(count):
            begin = time.perf_counter()
            await connection.execute("INSERT INTO bench_row VALUES (1)")
            each.append((time.perf_counter() - begin) * 1000)
        await connection.execute("DROP TABLE bench_row")
        return each
    finally:
        await connection.close()


def _milliseconds(work: Callable[[], None]) -> float:
    begin = time.perf_counter()
    work()
    return (time.perf_counter() - begin) * 1000
