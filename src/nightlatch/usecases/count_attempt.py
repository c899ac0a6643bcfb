"""Count an attempt to show a password, before it or when it has failed, and refuse it beyond the rate."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nightlatch.model.attempt import Attempt
from nightlatch.model.errors import CredentialsRejected, Throttled
from nightlatch.store.logins import Counted
from nightlatch.store.throttles import count, judge
from nightlatch.usecases.services import Services


@asynccontextmanager
async def counted_attempt(services: Services, attempt: Attempt, counted: Counted) -> AsyncIterator[None]:
    """The block checks the password, and raises CredentialsRejected if it is not the right one.

    Counts against account and address before the block, whatever comes of it; from an address that is
    known to the account, against the account from there alone, and only if the block fails. Raises
    Throttled, having written nothing, when the rate is used up; StoreUnavailable when it cannot count.
    """
    if counted.is_known:
        key = attempt.account_from_address
        async with services.throttle.under_way(key, counted.account_from_address) as under_way:
            try:
                yield
            except CredentialsRejected:
                async with services.store.write() as connection:
                    under_way.failed_ahead = await count(connection, key, services.throttle.account)
                raise
        return
    await _count_before(services, attempt, counted)
    yield


async def _count_before(services: Services, attempt: Attempt, counted: Counted) -> None:
    throttle = services.throttle
    wait = max(throttle.account.wait_seconds(counted.account), throttle.address.wait_seconds(counted.address))
    if wait:
        raise Throttled(wait, "account or address")
    async with services.store.write() as connection:
        # Accounts before addresses: so no two transactions wait for each other.
        for key, rate in ((attempt.account, throttle.account), (attempt.address, throttle.address)):
            if wait := await judge(connection, key, rate):
                raise Throttled(wait, "account or address, at once")
