"""The one way in which tokens end before their time."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nightlatch.model.errors import Refused
from nightlatch.store.connection import Connection
from nightlatch.store.pulse import confirm_primary
from nightlatch.usecases.services import Services


@asynccontextmanager
async def ending_tokens(services: Services) -> AsyncIterator[Connection]:
    """A unit of work that may end tokens.

    It deletes them, and changes what is the reason for it, in the block. When the block has been
    left without an error, that is committed and in force: no process on any node accepts one of
    the tokens for a request that starts afterwards. That is waited for when the block is left with
    Refused as well: who finds a token gone may be repeating a request whose answer was lost (H15).
    Raises StoreUnavailable; then it may have happened, or not. The wait holds no connection (H26).
    """
    try:
        async with services.store.write() as connection:
            yield connection
            # A transaction that found nothing to end is committed without waiting for the standby; but
            # that there was nothing is told, too.
            await confirm_primary(connection)
    except Refused:
        await services.currency.wait_in_force()
        raise
    committed = time.monotonic()
    await services.currency.wait_in_force()
    services.counts.revocation(time.monotonic() - committed)
