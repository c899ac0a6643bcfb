"""Processes that measure when they are told to, each on its own: some hold a lease, one probes the database.

They are forked from a process that has imported this module, so that many of them start fast.
"""

import asyncio
import multiprocessing
import os
from collections.abc import Callable, Collection, Coroutine, Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any, Final

import asyncpg
import uvloop

from bench.lease.measured import Held, Probed, look, probe, timed_engines
from nightlatch.app import built_memory
from nightlatch.background import running_memory
from nightlatch.hot.currency import Currency
from nightlatch.model.errors import StoreUnavailable
from nightlatch.settings import load_settings

ANSWER_SECONDS_MAX: Final = 60
FLUSH_SECONDS: Final = 5.0


class Orders:
    """The parent's orders to a process, which has to answer each."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def seconds(self) -> float:
        """For how long to measure, when it is ordered."""
        ordered = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._connection.fileno(), ordered.set)
        try:
            await ordered.wait()
        finally:
            loop.remove_reader(self._connection.fileno())
        seconds: float = self._connection.recv()
        return seconds

    def answer(self, measured: object) -> None:
        """What was measured; the first answer, to no order: that it can be."""
        self._connection.send(measured)


class Measurers:
    """Processes that all do the same, ready to be told."""

    def __init__(self, connections: list[Connection]) -> None:
        self._connections = connections
        self._seconds = 0.0
        self.answers()

    def begin(self, seconds: float) -> None:
        """Have them all measure for so long."""
        self._seconds = seconds
        for connection in self._connections:
            connection.send(seconds)

    def answers(self) -> list[Any]:
        """What they measured, when the last has."""
        return [self._answer(connection) for connection in self._connections]

    def _answer(self, connection: Connection) -> Any:
        try:
            if connection.poll(self._seconds + ANSWER_SECONDS_MAX):
                return connection.recv()
        except EOFError:
            pass
        raise SystemExit("a process that measures the lease failed")


@contextmanager
def measurers(
    work: Callable[..., Coroutine[Any, Any, None]], count: int, cores: Collection[int], *arguments: Any
) -> Iterator[Measurers]:
    """So many processes on those cores that `hold` or `probe_database`, until the block ends."""
    forking = multiprocessing.get_context("forkserver")
    forking.set_forkserver_preload([__name__])
    with ExitStack() as stack:
        connections = []
        for _ in range(count):
            ours, theirs = forking.Pipe()
            process = forking.Process(target=_run, args=(work, theirs, cores, arguments), daemon=True)
            process.start()
            theirs.close()
            stack.callback(process.join)
            stack.callback(process.terminate)
            connections.append(ours)
        yield Measurers(connections)


def _run(
    work: Callable[..., Coroutine[Any, Any, None]],
    connection: Connection,
    cores: Collection[int],
    arguments: tuple[Any, ...],
) -> None:
    os.sched_setaffinity(0, cores)
    uvloop.run(work(Orders(connection), *arguments))


async def hold(orders: Orders, url: str, every: float) -> None:
    """Keep memory current as a server does, and look about every so many seconds whether it is: `Held`."""
    settings = load_settings({"database_url": url}, None, {})
    async with timed_engines(settings) as (engines, reads):
        with built_memory(settings, engines) as memory:
            async with running_memory(memory.currency, _nothing, FLUSH_SECONDS):
                await _wait_current(memory.currency)
                orders.answer(None)
                while True:
                    seconds = await orders.seconds()
                    measured: Held = await look(memory.currency, reads, every, seconds)
                    orders.answer(measured)


async def _wait_current(currency: Currency) -> None:
    """However long the first read takes while many processes start at once."""
    while True:
        with suppress(StoreUnavailable):
            return await currency.wait_current()


async def probe_database(orders: Orders, url: str) -> None:
    """Ask the database now and then, beside whatever else goes on: `Probed`."""
    connection = await asyncpg.connect(url)
    orders.answer(None)
    while True:
        measured: Probed = await probe(connection, await orders.seconds())
        orders.answer(measured)


async def _nothing() -> None:
    """No tokens are presented, so that there are no uses to flush."""
