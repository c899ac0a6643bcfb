"""Changes to a worker, by name: applied in the worker process before anything is built.

`slow_fill` only disturbs, so that the promises hold with it. A patch that reopens a hole proves that
the checker sees what it is there to see.
"""

import asyncio
import random
from collections.abc import Callable
from functools import wraps
from typing import Any

from tests import reopened
from tests.reopened import replace_everywhere, replace_method
from tests.robustness.server import is_slow_spell

SLOW_FILL_SECONDS_MAX = 1.0
SLOW_FILL_CHANCE = 0.5


def slow_fill() -> None:
    """In slow spells, hold a token's standing for up to 1 s between its reading and its use (H9, H13).

    It patches `nightlatch.store.standings.read_standing(connection, digest)`, which reads a token from
    the database, wherever it is looked up.
    """
    replace_everywhere("nightlatch.store.standings", "read_standing", _slow)


def _slow(read: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(read)
    async def read_slowly(*arguments: Any) -> Any:
        found = await read(*arguments)
        if is_slow_spell() and random.random() < SLOW_FILL_CHANCE:
            await asyncio.sleep(random.uniform(0, SLOW_FILL_SECONDS_MAX))
        return found

    return read_slowly


def feed_needs_no_pulse() -> None:
    """PostgreSQL: a read of the feed counts though no standby has confirmed it (H21)."""
    from nightlatch.store.changes import PostgresqlFeed
    from nightlatch.store.postgresql_pool import DIALECT
    from nightlatch.store.pulse import database_pulse

    pulse = str(database_pulse().compile(dialect=DIALECT))
    begin = PostgresqlFeed.__init__

    def without_pulse(self: Any, connect: Any) -> None:
        begin(self, connect)
        if pulse not in self._statement.text:
            raise RuntimeError("the feed's statement has no pulse any more: the patch would do nothing")
        self._statement.text = self._statement.text.replace(pulse, "false")

    replace_method(PostgresqlFeed, "__init__", without_pulse)


PATCHES: dict[str, Callable[[], None]] = {
    patch.__name__: patch
    for patch in (
        slow_fill,
        feed_needs_no_pulse,
        reopened.revoker_does_not_wait,
        reopened.lease_never_ends,
        reopened.lease_counts_from_the_answer,
        reopened.fills_are_not_checked,
        reopened.file_is_not_asked,
    )
}
