"""Reading what memory does not know: joined, bounded, and never believed for longer than it holds.

A read returns a token's standing with the number of its snapshot. It answers, and is kept, only under
two conditions, looked at in the very step in which the request goes on: memory is current, and no later
change of that token has been applied (H9). That holds for a request that joined a read begun before it,
too (H13): had the token been ended before the request came, then a current memory would know of a later
change. A read that fails the test is not thrown at the client: the request reads again for itself.
"""

import asyncio
from typing import Final

from nightlatch.hot.currency import Currency
from nightlatch.hot.known import Known, KnownChild, known_as
from nightlatch.hot.table import Table
from nightlatch.hot.uses import Uses
from nightlatch.model.errors import Overloaded, StoreUnavailable, VerdictUnknown
from nightlatch.model.imported import SpelledToken
from nightlatch.model.token import PlainToken, TokenDigest
from nightlatch.store.failures import OtherServer
from nightlatch.store.standings import StandingRead, read_standing
from nightlatch.store.store import Store

READS_MAX: Final = 6
"""Reads at once: fewer than there are connections, so that logins and logouts always find one."""
WAITING_MAX: Final = 2_000
SECONDS_MAX: Final = 5.0
TRIES_MAX: Final = 10


class Fills:
    """The way from a digest that memory does not know to a verdict."""

    def __init__(self, store: Store, table: Table, currency: Currency, uses: Uses) -> None:
        self._store = store
        self._table = table
        self._currency = currency
        self._uses = uses
        self._turns = asyncio.Semaphore(READS_MAX)
        self._under_way: dict[bytes, asyncio.Task[StandingRead]] = {}
        self._waiting = 0

    async def find(self, token: SpelledToken, address: str) -> Known | KnownChild | None:
        """What the token is known as at the moment this returns; None: it is not live.

        The use of a live one from that address is noted, a child's is not: its scope is still to be asked.

        Raises StoreUnavailable when that cannot be known in time, Overloaded when too many wait.
        """
        # A read goes on when whoever waited for it has given up: both are counted.
        if max(self._waiting, len(self._under_way)) >= WAITING_MAX:
            raise Overloaded("Too many requests at the moment. Try again later.", "too many tokens to read")
        self._waiting += 1
        try:
            async with asyncio.timeout(SECONDS_MAX):
                for digest in await self.digests(token):
                    known = await self._find(digest, address)
                    if known is not None:
                        return known
                return None
        except TimeoutError:
            raise VerdictUnknown("a token could not be read in time") from None
        finally:
            self._waiting -= 1

    async def digests(self, token: SpelledToken) -> tuple[TokenDigest, ...]:
        """What the token may be stored as: of an imported one there are several makes, or none.

        Which kinds have been imported is known as currently as any token's end. Raises StoreUnavailable.
        """
        if isinstance(token, PlainToken):
            return (token.digest,)
        for _ in range(TRIES_MAX):
            await self._currency.wait_current()
            if self._currency.strict:
                self._currency.check_heard()  # an import waits for longer than that may be ago
            digests = token.digests(self._table.imported)
            if self._currency.strict or self._currency.database_seconds_nowait() is not None:
                return digests
        raise VerdictUnknown(f"what was imported could not be told in {TRIES_MAX} tries")

    async def _find(self, digest: TokenDigest, address: str) -> Known | KnownChild | None:
        for _ in range(TRIES_MAX):
            await self._currency.wait_current()
            if self._currency.strict:
                return await self._find_strictly(digest, address)
            seconds = self._currency.database_seconds_nowait()
            if seconds is not None:
                # What kept the lookup from answering may be over by now.
                known = self._table.find(digest.value)
                if known is not None and seconds < known.until:
                    self._note(known, seconds, address)
                    return known
                if self._table.is_absent(digest.value, seconds):
                    return None
            read = await self._read_joined(digest)
            if read.standing is None:
                # A deposed primary does not know of the newest tokens, and may have lost others alone.
                await self._currency.wait_confirmed()
            await self._currency.wait_current()
            seconds = self._currency.database_seconds_nowait()
            if seconds is not None and self._table.is_usable(digest, read.snapshot):
                known = self._table.keep(digest, read.standing, read.snapshot)
                if known is None or seconds >= known.until:
                    return None  # by the database's clock it may have expired since it was read
                self._note(known, seconds, address)
                return known
        raise VerdictUnknown(f"no read of a token held in {TRIES_MAX} tries")

    async def _find_strictly(self, digest: TokenDigest, address: str) -> Known | KnownChild | None:
        """A read of the request's own, sent after it arrived; nothing is kept."""
        read = await self._read(digest, alone=True)
        if read.standing is None:
            return None
        known = known_as(read.standing, digest, read.snapshot.seconds)
        self._note(known, read.snapshot.seconds, address)
        return known

    def _note(self, known: Known | KnownChild, seconds: float, address: str) -> None:
        if isinstance(known, Known):
            self._uses.note(known.used, seconds, address)

    async def _read_joined(self, digest: TokenDigest) -> StandingRead:
        task = self._under_way.get(digest.value)
        if task is None:
            task = asyncio.create_task(self._read(digest))
            self._under_way[digest.value] = task
            task.add_done_callback(lambda done: self._end(digest.value, done))
        return await asyncio.shield(task)

    def _end(self, digest: bytes, task: asyncio.Task[StandingRead]) -> None:
        del self._under_way[digest]
        if not task.cancelled():
            task.exception()  # whoever waited has it; if nobody did, it is no news

    async def _read(self, digest: TokenDigest, alone: bool = False) -> StandingRead:
        async with self._turns:
            try:
                return await self._read_once(digest, alone)
            except StoreUnavailable:
                # A connection that was cut while it was idle is noticed by whoever gets it: once more.
                return await self._read_once(digest, alone)

    async def _read_once(self, digest: TokenDigest, alone: bool) -> StandingRead:
        async with self._store.read() as connection:
            read = await read_standing(connection, digest, alone)
            if not alone and read.snapshot.epoch != self._table.epoch:
                raise OtherServer("another epoch than the change feed's")
            return read
