"""The one way in which tokens end before their time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncConnection

from nightlatch.usecases.services import Services


@asynccontextmanager
async def ending_tokens(services: Services) -> AsyncIterator[AsyncConnection]:
    """A unit of work that may end tokens.

    It deletes them, and changes what is the reason for it, in the block. When the block has been
    left without an error, that is committed and in force: no process on any node accepts one of
    the tokens for a request that starts afterwards. Raises StoreUnavailable; then it may have
    happened, or not.
    """
    async with services.store.write() as connection:
        yield connection
    await services.currency.wait_in_force()
