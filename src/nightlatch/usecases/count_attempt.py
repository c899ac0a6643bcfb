"""Count an attempt to show a password, before its hash or when it fails, and refuse it beyond the rate."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from nightlatch.model.attempt import Attempt
from nightlatch.model.errors import CredentialsRejected, Throttled
from nightlatch.store.logins import Counted
from nightlatch.store.throttles import commit_lazily, count, judge
from nightlatch.usecases.remember_used_up import refuse_from_memory, remember_used_up
from nightlatch.usecases.services import Services

Begin = Callable[[], Awaitable[None]]


@asynccontextmanager
async def counted_attempt(
    services: Services, attempt: Attempt, counted: Counted
) -> AsyncIterator[Begin | None]:
    """The block checks the password, and raises CredentialsRejected if it is not the right one.

    What it is given is to be awaited right before the hash (if it is not None): it counts against account
    and address, whatever comes of it. Not earlier: a flood that waits for turns to hash writes nothing.
    From an address that is known to the account, the block's failure alone is counted, against the account
    from there.

    Raises Throttled, having counted nothing, when the rate was used up before; StoreUnavailable when it
    cannot count.
    """
    if counted.is_known:
        key = attempt.account_from_address
        async with services.throttle.under_way(key, counted.account_from_address) as under_way:
            try:
                yield None
            except CredentialsRejected:
                async with services.store.write() as connection:
                    under_way.failed_ahead = await count(connection, key, services.throttle.account)
                raise
        return
    waits = []
    for key, rate, ahead in (
        (attempt.account, services.throttle.account, counted.account),
        (attempt.address, services.throttle.address, counted.address),
    ):
        if wait := rate.wait_seconds(ahead):
            waits.append(wait)
            remember_used_up(services, attempt, key, rate)
    if waits:
        raise Throttled(max(waits), "account or address")
    yield lambda: _count(services, attempt)


async def _count(services: Services, attempt: Attempt) -> None:
    # Of a flood that has waited for its turns, the first ones may have used up the rate.
    refuse_from_memory(services, attempt)
    # Accounts before addresses: so no two transactions wait for each other.
    rates = (attempt.account, services.throttle.account), (attempt.address, services.throttle.address)
    try:
        async with services.store.write() as connection:
            await commit_lazily(connection)
            for key, rate in rates:
                if wait := await judge(connection, key, rate):
                    raise Throttled(wait, "account or address, at once")
    except Throttled:
        remember_used_up(services, attempt, key, rate)
        raise
