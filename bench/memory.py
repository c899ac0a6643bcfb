"""The memory of one process, as app.py builds it, for what is measured inside a process."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from nightlatch.app import opened_engines
from nightlatch.clock import SystemClock
from nightlatch.counts import Counts
from nightlatch.fresh.lease import Lease
from nightlatch.fresh.shared_file import SharedFile
from nightlatch.hot.currency import Currency
from nightlatch.hot.lookup import Lookup
from nightlatch.hot.table import Table
from nightlatch.hot.uses import Uses
from nightlatch.settings import load_settings
from nightlatch.store.changes import Feed, PostgresqlFeed
from nightlatch.store.store import Store


class CountingFeed(PostgresqlFeed):
    """A feed that knows how often it was read, and by which process of the server."""

    def __init__(self, connect: Callable[[], Awaitable[Any]]) -> None:
        self.reads = 0
        self.backend_pid = 0

        async def connect_noting() -> Any:
            connection = await connect()
            self.backend_pid = connection.get_server_pid()
            return connection

        super().__init__(connect_noting)

    async def read(self, after: int, seconds_max: float) -> Feed:
        """As the feed's."""
        self.reads += 1
        return await super().read(after, seconds_max)


@dataclass(frozen=True, slots=True)
class Memory:
    """What a server process holds; `feed` is None on SQLite."""

    table: Table
    currency: Currency
    uses: Uses
    lookup: Lookup
    feed: CountingFeed | None


@asynccontextmanager
async def kept_memory(url: str, tokens_max: int) -> AsyncIterator[Memory]:
    """Memory that is current when the block begins, and kept so until it ends."""
    async with opened_engines(load_settings({"database_url": url}, None, {})) as engines:
        table, uses = Table(tokens_max), Uses()
        feed: CountingFeed | None = None
        currency: Currency
        if engines.sqlite_file is not None:
            currency = SharedFile(engines.sqlite_file, table, SystemClock())
        else:
            feed = CountingFeed(engines.connect)
            currency = Lease(Store(engines, Counts()), feed, table, SystemClock(), Counts())
        keeping = asyncio.create_task(currency.keep())
        await asyncio.sleep(0)  # until then nobody can be waited for
        try:
            await currency.wait_current()
            yield Memory(table, currency, uses, Lookup(table, currency, uses), feed)
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            currency.close()
