"""One verification inside the process, and what memory costs there.

µs from the bytes of an Authorization header to the verdict, with a million known tokens: in random
order, and the same one again and again. Bytes of RAM for each known token. And what each way costs to
ask SQLite whether anything changed.
"""

import asyncio
import random
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from bench.alone import run_alone
from bench.databases import Database
from bench.known import header, keep_tokens, settle
from bench.machine import SERVER_CORE, resident_bytes
from bench.memory import Memory, kept_memory
from bench.options import Options
from bench.report import median, print_table
from nightlatch.hot.known import Known
from nightlatch.hot.table import Table
from nightlatch.model.change import Snapshot
from nightlatch.store.wal_index import WalIndex

TOKENS: Final = 1_000_000
BATCH: Final = 2_000
"""Lookups in one go: the feed is read in between, as it is in a server."""
FILL_BATCH: Final = 10_000
ASKS: Final = 20_000
TOKENS_PER_USER: Final = 20


def measure(database: Database, options: Options) -> dict[str, Any]:
    """Microseconds and bytes."""
    times = run_alone(SERVER_CORE, _verifications, database.url, options.seconds)
    print_table(
        f"One verification in process, {TOKENS:,} tokens known",
        ["", "µs, median", "µs, mean"],
        [[name, *values.values()] for name, values in times.items()],
    )
    memory = {
        f"{count} tokens per user": run_alone(SERVER_CORE, _bytes_per_token, count)
        for count in (TOKENS_PER_USER, 1)
    }
    print_table("RAM of a known token", ["", "bytes"], list(memory.items()))
    result = {"microseconds": times, "bytes_per_token": memory}
    if database.file is not None:
        asked = run_alone(SERVER_CORE, _ways_to_ask, database.file)
        print_table("Asking SQLite whether anything changed", ["", "µs"], list(asked.items()))
        result["microseconds_to_ask"] = asked
    return result


def _verifications(url: str, seconds: int) -> dict[str, dict[str, float]]:
    return asyncio.run(_verify_all(url, seconds))


async def _verify_all(url: str, seconds: int) -> dict[str, dict[str, float]]:
    async with kept_memory(url, TOKENS) as memory:
        for first in range(0, TOKENS, FILL_BATCH):
            keep_tokens(memory.table, range(first, first + FILL_BATCH), TOKENS_PER_USER)
            await asyncio.sleep(0)
        headers = [header(number) for number in range(TOKENS)]
        random.Random(1).shuffle(headers)
        settle()
        return {
            "many tokens, random order": await _verify(memory, headers, seconds),
            "one token": await _verify(memory, headers[:1] * BATCH, seconds),
        }


async def _verify(memory: Memory, headers: Sequence[bytes], seconds: int) -> dict[str, float]:
    find = memory.lookup.find_nowait
    batches = [headers[first : first + BATCH] for first in range(0, len(headers), BATCH)]
    each: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        # Copies: what has just come in from the network is in the processor's cache too.
        batch = [bytes(bytearray(one)) for one in batches[len(each) % len(batches)]]
        await memory.currency.wait_current()
        begin = time.perf_counter()
        for authorization in batch:
            verdict = find(authorization, "192.0.2.1")
        each.append((time.perf_counter() - begin) / len(batch) * 1e6)
        # Looked at for the last of each batch: where memory could not answer it would not be Known.
        if not isinstance(verdict, Known):
            raise SystemExit(f"a known token was not found: {type(verdict).__name__}")
        if len(each) % 50 == 0:
            memory.uses.take()
        await asyncio.sleep(0)
    return {"median": median(each), "mean": round(sum(each) / len(each), 3)}


def _bytes_per_token(tokens_per_user: int) -> int:
    table = Table(TOKENS)
    table.start_over(Snapshot("bench", 0, time.time(), 0.25))
    keep_tokens(table, range(1), tokens_per_user)
    settle()
    before = resident_bytes()
    keep_tokens(table, range(1, TOKENS), tokens_per_user)
    return round((resident_bytes() - before) / (TOKENS - 1))


def _ways_to_ask(file: Path) -> dict[str, float]:
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("SELECT number FROM change_counter").fetchone()
    header_of = WalIndex(file).read
    seen = header_of()
    execute = connection.execute
    result = {
        "PRAGMA data_version": _microseconds(lambda: execute("PRAGMA data_version").fetchone()),
        "SELECT number FROM change_counter": _microseconds(
            lambda: execute("SELECT number FROM change_counter").fetchone()
        ),
        "the mapped header": _microseconds(lambda: header_of() == seen),
    }
    connection.close()
    return result


def _microseconds(ask: Callable[[], object]) -> float:
    each = []
    for _ in range(5):
        begin = time.perf_counter()
        for _ in range(ASKS):
            ask()
        each.append((time.perf_counter() - begin) / ASKS * 1e6)
    return median(each)
