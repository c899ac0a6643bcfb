"""Refuse from memory where the database has just refused, but nobody who has become known since."""

import asyncio
from contextlib import suppress

from nightlatch.guard.used_up import ANNOUNCED_SECONDS, REMEMBERED_SECONDS
from nightlatch.model.attempt import Attempt
from nightlatch.model.errors import StoreUnavailable, Throttled
from nightlatch.model.rate import Rate
from nightlatch.store.used_up import announce, is_announced, see_account, see_address
from nightlatch.usecases.services import Services


def refuse_from_memory(services: Services, attempt: Attempt) -> None:
    """Raise Throttled for an attempt whose account or address is remembered to have used up its rate."""
    if wait := services.used_up.wait_seconds(attempt):
        raise Throttled(wait, "account or address")


def remember_used_up(services: Services, attempt: Attempt, key: bytes, rate: Rate) -> None:
    """The rate of the key, account or address, refuses the attempt: if it does so often, have it remembered.

    Then the next ones cost no query. This one waits for nothing.
    """
    if services.used_up.is_worth_reading(key):
        services.used_up.read(key, lambda: _remember(services, attempt, key, rate))


async def _remember(services: Services, attempt: Attempt, key: bytes, rate: Rate) -> None:
    used_up = services.used_up
    see = see_account if key == attempt.account else see_address
    try:
        begun = used_up.now()
        async with services.store.read() as connection:
            seen = await see(connection, attempt)
        if seen.announced <= REMEMBERED_SECONDS:
            async with services.store.write() as connection:
                await announce(connection, key, ANNOUNCED_SECONDS)
            # Only what is read after the announcement may be remembered.
            begun = used_up.now()
            async with services.store.read() as connection:
                seen = await see(connection, attempt)
    except StoreUnavailable:
        used_up.rest()
        return
    used_up.remember(key, begun, seen.announced, rate.wait_seconds(seen.ahead), seen.known)


async def wait_until_forgotten(services: Services, attempt: Attempt) -> None:
    """Return when nothing is remembered of the attempt's rates from before; nearly always at once.

    To be called after the commit by which its address became known to the account.
    """
    with suppress(StoreUnavailable):
        async with services.store.read() as connection:
            if not await is_announced(connection, attempt):
                return
    # A tenth more, for clocks that go at different rates and timers that are early by a millisecond.
    await asyncio.sleep(1.1 * REMEMBERED_SECONDS)
