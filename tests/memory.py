"""The memory of one process, on a real database and with a clock of the test's."""

import asyncio
from typing import Any

from nightlatch.clock import SystemClock
from nightlatch.counts import Counts
from nightlatch.fresh.fills import Fills
from nightlatch.fresh.lease import Lease
from nightlatch.fresh.shared_file import SharedFile
from nightlatch.hot.header import HeaderFault, TokenHeader
from nightlatch.hot.known import Known, KnownChild
from nightlatch.hot.lookup import Lookup
from nightlatch.hot.table import Table
from nightlatch.hot.uses import Uses
from nightlatch.store.changes import PostgresqlFeed
from tests.accounts import Accounts


class MovableClock:
    """The machine's clocks, and as much more as the test moved them by."""

    def __init__(self) -> None:
        self._system = SystemClock()
        self.moved = 0.0
        self.wall_moved = 0.0

    def elapsed_seconds(self) -> float:
        return self._system.elapsed_seconds() + self.moved

    def wall_seconds(self) -> float:
        return self._system.wall_seconds() + self.wall_moved


class Memory:
    """Table, lookup, fills and currency, as a server process has them, on the loop of `accounts`.

    With `keeping` the currency's task runs, as in a server.
    """

    def __init__(self, accounts: Accounts, keeping: bool = True) -> None:
        self.accounts = accounts
        self.clock = MovableClock()
        self.table = Table(1000)
        self.uses = Uses()
        store = accounts.services.store
        self._keeping: asyncio.Task[None] | None = None

        async def build() -> None:
            engines = accounts.engines
            self.currency: Any = (
                SharedFile(engines.sqlite_file, self.table, self.clock)
                if engines.sqlite_file is not None
                else Lease(store, PostgresqlFeed(engines.connect), self.table, self.clock, Counts())
            )
            self.fills = Fills(store, self.table, self.currency, self.uses)
            if keeping:
                self._keeping = asyncio.create_task(self.currency.keep())

        accounts.run(build())
        self.lookup = Lookup(self.table, self.currency, self.uses)

    def find_nowait(self, token: str) -> Known | KnownChild | HeaderFault | TokenHeader:
        """What memory alone says."""

        async def find() -> Known | KnownChild | HeaderFault | TokenHeader:
            return self.lookup.find_nowait(f"Token {token}".encode(), "192.0.2.1")

        return self.accounts.run(find())

    async def verify(self, token: str) -> bool:
        """What a request gets: whether it is accepted."""
        verdict = self.lookup.find_nowait(f"Token {token}".encode(), "192.0.2.1")
        if isinstance(verdict, TokenHeader):
            return await self.fills.find(verdict.token, "192.0.2.1") is not None
        return isinstance(verdict, Known | KnownChild)

    def accepts(self, token: str) -> bool:
        """The same, from the test's thread."""
        return self.accounts.run(self.verify(token))

    def close(self) -> None:
        """Stop the currency's task."""

        async def stop() -> None:
            if self._keeping is not None:
                self._keeping.cancel()
                await asyncio.gather(self._keeping, return_exceptions=True)
            self.currency.close()

        self.accounts.run(stop())
