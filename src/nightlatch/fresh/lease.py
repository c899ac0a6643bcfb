"""PostgreSQL: memory is trusted for a lease, which each read of the change feed renews.

The rule. A process notes t0 on CLOCK_BOOTTIME, reads the changes since the last it has applied, applies
them, and may then answer from memory until t0 + lease. Who ends tokens commits, waits lease × 1.1 and a
margin from the moment the commit was acknowledged, and only then answers.

Why that is enough. Let memory answer at τ < t0 + lease, and let c be when the revocation's commit was
acknowledged. Did the read begin after the commit, then the change has been applied and the entry is gone.
Otherwise t0 < c, hence τ < c + lease: before the revoker answered. No clocks of two machines are
compared; the factor is for clocks that run at different rates (H6).

A lapsed lease forgets nothing: one read makes the same memory current again (H20).

That the read reaches the primary is proven by its pulse (store/pulse.py): a commit which the standby has
confirmed. A standby that confirms is not promoted yet, hence t0 < p for the moment p of any promotion.
Whoever revokes on the new primary is acknowledged at c > p, hence again τ < c + lease (H21).
"""

import asyncio
import os
import secrets
import weakref
from typing import Final

import structlog

from nightlatch.clock import Clock
from nightlatch.counts import Counts
from nightlatch.fresh.read_times import ReadTimes
from nightlatch.hot.table import Table
from nightlatch.model.errors import StoreUnavailable, VerdictUnknown
from nightlatch.spans import NO_SPANS, Spans
from nightlatch.store.changes import Feed, PostgresqlFeed
from nightlatch.store.snapshots import read_lease_waited
from nightlatch.store.store import Store

READS_PER_LEASE: Final = 3
CLOCK_RATE_FACTOR: Final = 1.1
MARGIN_SECONDS: Final = 0.005
WAIT_SECONDS_MAX: Final = 1.0
"""How long a request waits for the read that makes memory current; then 503."""
READ_SECONDS_MAX: Final = 2.0
PAUSE_SECONDS_MAX: Final = 0.5
"""How often the feed is read where the lease asks for less: to know whether the database is there."""
HEARD_SECONDS_MAX: Final = 0.9
"""With the pause and the time of a read: an absence is told within a second (health)."""
RETRY_SECONDS: Final = 0.1
CLOCK_STEP_SECONDS: Final = 1.0
"""A step of the database's clock beyond this makes ages in memory wrong: it is forgotten."""

_log = structlog.get_logger("nightlatch")
_random = secrets.SystemRandom()


class Lease:
    """Whether memory may answer, on PostgreSQL (`hot.currency.Currency`)."""

    def __init__(
        self,
        store: Store,
        feed: PostgresqlFeed,
        table: Table,
        clock: Clock,
        counts: Counts,
        spans: Spans = NO_SPANS,
    ) -> None:
        self._store = store
        self._feed = feed
        self._table = table
        self._elapsed = clock.elapsed_seconds
        self._errors = counts.database_errors
        self._spans = spans
        self._until = 0.0
        self._lapsed = 0.0
        # The database's clock less ours: between these two. The larger one is used, by which tokens
        # expire too early rather than too late.
        self._earliest = self._offset = 0.0
        self._strict = False
        self._begun = 0.0
        self._pulse = False
        self._times = ReadTimes()
        self._failure: str | None = None
        self._wanted = asyncio.Event()
        self._next_read: asyncio.Future[None] | None = None
        forget = weakref.WeakMethod(self._forget)
        os.register_at_fork(after_in_child=lambda: (method := forget()) and method())

    def database_seconds_nowait(self) -> float | None:
        """The deadline first, then the clock: whatever pause comes in between counts against us (H7)."""
        until = self._until
        now = self._elapsed()
        return now + self._offset if now < until else None

    async def wait_current(self) -> None:
        """Wait for the read under way, or have one begun; never for longer than WAIT_SECONDS_MAX."""
        if self._strict or self.database_seconds_nowait() is not None:
            return
        try:
            async with asyncio.timeout(WAIT_SECONDS_MAX):
                while True:
                    self._wanted.set()
                    await self._wait_for_read()
                    if self._strict or self.database_seconds_nowait() is not None:
                        return
        except TimeoutError:
            raise VerdictUnknown("no read of the change feed in time") from None

    async def wait_confirmed(self) -> None:
        """Where there is a pulse, wait for the next one that begins after this call.

        It comes when it is due: whoever sends unknown tokens causes no commits.
        """
        if not self._pulse:
            return
        asked = self._elapsed()
        try:
            async with asyncio.timeout(WAIT_SECONDS_MAX):
                while self._begun < asked:
                    await self._wait_for_read()
        except TimeoutError:
            raise VerdictUnknown("no read of the change feed in time") from None

    @property
    def strict(self) -> bool:
        """Whether each request reads for itself."""
        return self._strict

    async def wait_in_force(self) -> None:
        """Wait until every lease that began before the commit has ended."""
        committed = self._elapsed()
        async with self._store.read() as connection:
            lease_seconds = await read_lease_waited(connection)
        if lease_seconds == 0:
            return
        until = committed + lease_seconds * CLOCK_RATE_FACTOR + MARGIN_SECONDS
        with self._spans.part("wait for leases"):
            # Again and again: a loop's timers count from when its turn began, and ring early by that much.
            while (remaining := until - self._elapsed()) > 0:  # noqa: ASYNC110
                await asyncio.sleep(remaining)

    def check_heard(self) -> None:
        """Raise StoreUnavailable unless a read that began within the last second was answered."""
        if not self._begun or self.age_seconds() > HEARD_SECONDS_MAX:
            raise StoreUnavailable(
                "The database did not answer in time. Try again later.", self._failure or "no answer"
            )

    def age_seconds(self) -> float:
        """Since the last read that was answered began."""
        return self._elapsed() - self._begun if self._begun else 0.0

    def lapsed_seconds(self) -> float:
        """How long there was no lease, the time before the first and lease 0 left out."""
        return self._lapsed + self._lapsed_now()

    def _lapsed_now(self) -> float:
        if self._strict or not self._until:
            return 0.0
        return max(0.0, self._elapsed() - self._until)

    async def keep(self) -> None:
        """Read the feed about three times per lease, at once where somebody waits for it."""
        self._next_read = asyncio.get_running_loop().create_future()
        try:
            due = self._elapsed()
            while True:
                pause = await self._read(due)
                due = self._elapsed() + max(0.0, pause)
                done, self._next_read = self._next_read, asyncio.get_running_loop().create_future()
                done.set_result(None)
                await self._pause(pause)
                due = min(due, self._elapsed())  # somebody may have wanted it earlier
        finally:
            self._until = 0.0

    def close(self) -> None:
        """Trust memory no more, and drop the feed's connection."""
        self._until = 0.0
        self._feed.close()

    def _forget(self) -> None:
        # A process forked off is not kept current by anybody.
        self._until = 0.0
        self._strict = False
        self._next_read = None

    async def _wait_for_read(self) -> None:
        if self._next_read is None:
            raise VerdictUnknown("the change feed is not being read")
        await asyncio.shield(self._next_read)
        if self._failure is not None:
            raise VerdictUnknown(self._failure)

    async def _read(self, due: float) -> float:
        """One read, due at that moment of our clock; the seconds to the next."""
        self._wanted.clear()
        begun = self._elapsed()
        try:
            feed = await self._feed.read(self._table.applied, READ_SECONDS_MAX)
        except StoreUnavailable as error:
            self._errors["feed"] += 1
            if self._failure is None:
                _log.warning("memory_not_current", reason=error.detail)
            self._failure = error.detail or error.code
            return RETRY_SECONDS
        if self._failure is not None:
            _log.info("memory_current_again")
        self._failure = None
        self._trust(begun, self._elapsed(), feed)
        if self._strict:
            return PAUSE_SECONDS_MAX
        needed = self._times.lease_needed(self._elapsed() - due, feed.snapshot.lease_seconds)
        if needed is not None:
            _log.warning(
                "lease_too_short",
                milliseconds=round(feed.snapshot.lease_seconds * 1000),
                needed_milliseconds=round(needed * 1000),
                consequence="requests wait for reads of the change feed; see nightlatch lease set",
            )
        pause = min(feed.snapshot.lease_seconds / READS_PER_LEASE, PAUSE_SECONDS_MAX)
        return begun + pause * _random.uniform(0.9, 1) - self._elapsed()

    def _trust(self, begun: float, ended: float, feed: Feed) -> None:
        """One synchronous step: first the changes, then the trust that their read allows (H1, H35)."""
        snapshot = feed.snapshot
        if self._table.epoch and snapshot.epoch != self._table.epoch:
            self._store.renew_connections()  # they may lead to a primary that was deposed (H21)
        self._table.apply(snapshot, feed.changes)
        self._table.imported = feed.imported
        # The database looked at its clock between the two: a slow read is no step of it (H20).
        earliest, latest = snapshot.seconds - ended, snapshot.seconds - begun
        if latest < self._earliest - CLOCK_STEP_SECONDS or earliest > self._offset + CLOCK_STEP_SECONDS:
            self._table.start_over(snapshot)
        self._earliest, self._offset = earliest, latest
        self._lapsed += self._lapsed_now()
        self._strict = snapshot.lease_seconds == 0
        self._begun, self._pulse = begun, feed.pulse
        self._until = begun + snapshot.lease_seconds

    async def _pause(self, seconds: float) -> None:
        if self._failure is not None:
            await asyncio.sleep(seconds * _random.uniform(0.5, 1.5))
            return
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._wanted.wait()
        except TimeoutError:
            pass
