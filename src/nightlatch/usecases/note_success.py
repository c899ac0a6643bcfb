"""Note that a password was right: take back what was counted, and know the address from then on."""

from nightlatch.model.errors import CredentialsRejected
from nightlatch.store.connection import Connection
from nightlatch.store.known_addresses import note_address
from nightlatch.store.logins import lock_candidate
from nightlatch.store.throttles import give_back, reset
from nightlatch.usecases.check_password import PasswordShown
from nightlatch.usecases.remember_used_up import wait_until_forgotten
from nightlatch.usecases.services import Services


async def note_success(services: Services, connection: Connection, shown: PasswordShown) -> None:
    """Note it in a transaction that holds the locks of `lock_candidate`; after its commit, `wait_noted`.

    From a new address, this attempt is taken back; strangers' failures stay counted, and whoever logs in is
    known from then on. Mostly there is nothing to write.
    """
    attempt, counted = shown.attempt, shown.counted
    if not counted.is_known:
        await give_back(connection, attempt.account, services.throttle.account)
        await give_back(connection, attempt.address, services.throttle.address)
    elif counted.account_from_address > 0:
        await reset(connection, attempt.account_from_address)
    if not counted.is_noted:
        candidate = shown.candidate
        await note_address(connection, candidate.organization_id, candidate.user_id, attempt.network)


async def note_success_alone(services: Services, shown: PasswordShown) -> None:
    """Note it in a transaction of its own, if there is anything to write.

    Raises CredentialsRejected for somebody who has been shut out since, and StoreUnavailable.
    """
    counted = shown.counted
    if not counted.is_noted or counted.account_from_address > 0:
        async with services.store.write() as connection:
            if await lock_candidate(connection, shown.candidate) is None:
                raise CredentialsRejected("changed during login")
            await note_success(services, connection, shown)
    await wait_noted(services, shown)


async def wait_noted(services: Services, shown: PasswordShown) -> None:
    """After the commit: return when whoever it was is refused nowhere for others' failures at the address.

    It may be known by this login, or by one just before, which still waits.
    """
    if not shown.counted.is_settled:
        await wait_until_forgotten(services, shown.attempt)
