"""Rates that failed logins have used up, remembered: whoever goes on guessing is refused without a query.

A rate is the token bucket of one account or of one address. Nobody is refused where they have logged in
before, so what is remembered may be no older than the last login from a new address, through whichever
process. It holds for REMEMBERED_SECONDS, and is announced by a row in the database, committed before that
was read which is remembered. Whoever has let somebody in at a new address looks for that row after the
commit, and if there is one waits for longer than anything is remembered. Either the announcement is seen
there, or what is read after it shows the address.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Final

from nightlatch.model.attempt import Attempt

REMEMBERED_SECONDS: Final = 0.25
ANNOUNCED_SECONDS: Final = 30.0
OFTEN: Final = 20
"""Refusals of one rate within a second, from which on it is worth remembering."""
REST_SECONDS: Final = 1.0
"""For so long nothing is remembered anew after the database could not be asked."""
KEYS_MAX: Final = 1_000
"""More rates than this are not remembered."""


@dataclass(frozen=True, slots=True)
class _UsedUp:
    """Nothing is let through before `free`, but from `known` networks; to be believed before `until`."""

    free: float
    until: float
    known: frozenset[str]


class UsedUp:
    """What this process remembers of rates that are used up, by the keys of attempts.

    `elapsed_seconds` is a clock that never goes back.
    """

    def __init__(self, elapsed_seconds: Callable[[], float]) -> None:
        self.now = elapsed_seconds
        self._rates: dict[bytes, _UsedUp] = {}
        self._refused: Counter[bytes] = Counter()
        self._refused_since = 0.0
        self._rests_until = 0.0
        self._reads: dict[bytes, asyncio.Task[None]] = {}

    @property
    def reading(self) -> int:
        """How many rates are being read."""
        return len(self._reads)

    def wait_seconds(self, attempt: Attempt) -> float:
        """Seconds for which the attempt is refused for certain; 0 where the database has to be asked."""
        if not self._rates:
            return 0.0
        now = self.now()
        return max(self._wait(key, attempt.network, now) for key in (attempt.account, attempt.address))

    def _wait(self, key: bytes, network: str, now: float) -> float:
        found = self._rates.get(key)
        if found is None or now >= found.until or network in found.known:
            return 0.0
        return max(0.0, found.free - now)

    def is_worth_reading(self, key: bytes) -> bool:
        """Whether the rate, by which the database has just refused somebody, is to be read and remembered."""
        now = self.now()
        if key in self._reads or now < self._rests_until:
            return False
        if (found := self._rates.get(key)) is not None:
            if now < found.until:
                return False  # it is remembered, and does not hold up whoever this was
            if now < found.until + 1:
                return True
        if now - self._refused_since >= 1 or len(self._refused) >= KEYS_MAX:
            self._refused.clear()
            self._refused_since = now
        self._refused[key] += 1
        return self._refused[key] >= OFTEN

    def read(self, key: bytes, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Have the rate read beside the refusal, which does not wait: how long it takes shows nowhere."""
        # In no request's context: what is done is no part of it.
        task = asyncio.create_task(work(), context=Context())
        self._reads[key] = task
        task.add_done_callback(lambda _: self._reads.pop(key))

    def remember(
        self, key: bytes, begun: float, announced: float, wait: float, known: frozenset[str]
    ) -> None:
        """What the database has said of the rate, at `begun` at the earliest.

        For `announced` seconds it is announced, and for `wait` seconds nothing is let through, but from the
        networks that are known.
        """
        if len(self._rates) >= KEYS_MAX:
            self._rates.clear()
        self._rates[key] = _UsedUp(begun + wait, begun + min(announced, REMEMBERED_SECONDS), known)

    def rest(self) -> None:
        """The database could not be asked."""
        self._rests_until = self.now() + REST_SECONDS

    async def close(self) -> None:
        """Give up what is being read."""
        reads = list(self._reads.values())
        for task in reads:
            task.cancel()
        await asyncio.gather(*reads, return_exceptions=True)
