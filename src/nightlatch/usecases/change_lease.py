"""Change the lease: raised in one step, lowered in two, so that it holds at every moment between.

Feeds use the lease that they read, revocations wait for the one that they read after their commit. The
second may be larger than the first, never smaller: so it rises together with the first, and sinks only
when no feed can still use what was read before.
"""

import asyncio
from typing import Final

from nightlatch.fresh.lease import CLOCK_RATE_FACTOR, MARGIN_SECONDS
from nightlatch.model.errors import InvalidValue, Refused
from nightlatch.model.event import OPERATOR, Event, EventKind
from nightlatch.model.records import LeaseRecord
from nightlatch.store.leases import changing_lease, find_lease, set_lease
from nightlatch.usecases.services import Services

LEASE_MILLISECONDS_MIN: Final = 50
LEASE_MILLISECONDS_MAX: Final = 10_000


async def show_lease(services: Services) -> LeaseRecord:
    """The lease in force. Raises Refused on SQLite, which has none."""
    _check_database(services)
    async with services.store.read() as connection:
        return await find_lease(connection)


async def change_lease(services: Services, milliseconds: int) -> LeaseRecord:
    """Set the lease; when this returns it is in force on all nodes. Raises InvalidValue or Refused.

    Lowering takes as long as the lease before. Killed in between it has left the feeds with the new
    lease and revocations waiting for the old one, which is safe; repeat it.
    """
    _check_database(services)
    if milliseconds != 0 and not LEASE_MILLISECONDS_MIN <= milliseconds <= LEASE_MILLISECONDS_MAX:
        raise InvalidValue(
            "lease",
            f"A lease is {LEASE_MILLISECONDS_MIN} to {LEASE_MILLISECONDS_MAX} milliseconds, "
            "or 0 for reading the database with each request.",
        )
    async with services.store.read() as connection, changing_lease(connection) as free:
        if not free:
            raise Refused("Somebody else is changing the lease. Try again when they are done.")
        before = await find_lease(connection)
        # What is waited for may be more than the lease, if an earlier lowering was interrupted.
        waited = max(milliseconds, before.waited_milliseconds)
        # Both steps on the connection that holds the lock: without the lock there is no second step.
        await set_lease(
            connection, LeaseRecord(milliseconds, waited), _event(before.milliseconds, milliseconds)
        )
        if waited > milliseconds:
            await asyncio.sleep(waited / 1000 * CLOCK_RATE_FACTOR + MARGIN_SECONDS)
            await set_lease(connection, LeaseRecord(milliseconds, milliseconds))
    return LeaseRecord(milliseconds, milliseconds)


def _event(before: int, after: int) -> Event | None:
    """What is recorded of it, with the first step: nothing if that only goes on with one that was cut off."""
    if before == after:
        return None
    detail = {"milliseconds": {"before": before, "after": after}}
    return Event(EventKind.LEASE_CHANGED, OPERATOR, detail=detail)


def _check_database(services: Services) -> None:
    if services.store.is_file:
        raise Refused("On SQLite there is no lease: what ends a token is in force when it is committed.")
