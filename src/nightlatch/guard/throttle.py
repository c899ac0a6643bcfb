"""Throttling: the rates of attempts, and attempts from known addresses before they are counted.

An attempt from an address that is new to the account is counted in the database before its password is
hashed, so that no number of processes lets through more than the rate. From a known address only a failure
is counted, when it is one, which spares a good login the write. Until then the attempt stands here: as many
may be under way as could fail; others wait, and are refused as soon as failures have used up the rate.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from nightlatch.model.errors import Overloaded, Throttled
from nightlatch.model.rate import Rate


class UnderWay:
    """One attempt from a known address, which is under way in the block of Throttle.under_way."""

    failed_ahead: float | None = None
    """To be set to how far ahead the failure's count has moved free_at, in seconds; None: it was none."""


@dataclass(slots=True)
class _Account:
    """What this process knows of an account that is tried from one known address."""

    free_at: float = 0.0  # by time.monotonic
    under_way: int = 0
    users: int = 0
    judging: asyncio.Lock = field(default_factory=asyncio.Lock)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def see(self, ahead: float) -> None:
        """The database has said that free_at lies so many seconds ahead."""
        self.free_at = max(self.free_at, time.monotonic() + ahead)


class Throttle:
    """The rates that attempts, and the making of child tokens, are held to.

    `logins` is None where good logins are not limited.

    `processes` share one machine: together they have no more attempts under way for one account from one
    known address than its rate's burst. Whoever waits longer than `wait_seconds` is Overloaded.
    """

    def __init__(
        self,
        *,
        account: Rate,
        address: Rate,
        logins: Rate | None,
        child_tokens: Rate,
        processes: int,
        wait_seconds: float,
    ) -> None:
        self.account = account
        self.address = address
        self.logins = logins
        self.child_tokens = child_tokens
        self._under_way_max = max(1, account.burst // processes)
        self._wait_seconds = wait_seconds
        self._accounts: dict[bytes, _Account] = {}

    @asynccontextmanager
    async def under_way(self, key: bytes, ahead: float) -> AsyncIterator[UnderWay]:
        """An attempt from a known address; `ahead` is what the database has just said of its key.

        Raises Throttled when failures have used up the rate, Overloaded when its turn does not come in
        time. A block that is left with `failed_ahead` unset was a success, unless it raised.
        """
        account = self._accounts.setdefault(key, _Account())
        account.users += 1
        try:
            account.see(self.account.bounded(ahead))
            try:
                async with asyncio.timeout(self._wait_seconds):
                    await self._turn(account)
            except TimeoutError:
                raise Overloaded(
                    "Too many logins at the moment. Try again later.",
                    f"no turn among those of one account within {self._wait_seconds} s",
                ) from None
            attempt = UnderWay()
            try:
                yield attempt
                account.free_at = 0.0
            finally:
                if attempt.failed_ahead is not None:
                    account.see(attempt.failed_ahead)
                account.under_way -= 1
                account.ended.set()
        finally:
            account.users -= 1
            if not account.users:
                del self._accounts[key]

    async def _turn(self, account: _Account) -> None:
        """Take a turn. One at a time is judged, in the order in which they came."""
        async with account.judging:
            while True:
                ahead = account.free_at - time.monotonic()
                left = self.account.left(ahead)
                if not left:
                    raise Throttled(self.account.wait_seconds(ahead), "account from a known address")
                if account.under_way < min(left, self._under_way_max):
                    account.under_way += 1
                    return
                account.ended.clear()
                await account.ended.wait()
