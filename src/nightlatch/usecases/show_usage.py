"""Show usage: to an owner the organization's, to a member their own part of it."""

from collections.abc import Sequence

from nightlatch.model.names import Role, TokenId
from nightlatch.model.session import Session
from nightlatch.model.usage import Usage
from nightlatch.store.token_usage import read_usage
from nightlatch.usecases.services import Services


async def show_usage(services: Services, session: Session, token_ids: Sequence[TokenId]) -> Usage:
    """The last thirty days, of those tokens and in all, in one statement.

    A member sees the tokens that they have now, and their logins; refusals are an owner's to see. Tokens
    that the session's user may not see, or that there are none of, were never used. Raises StoreUnavailable.
    """
    identity = session.identity
    async with services.store.read() as connection:
        return await read_usage(connection, identity, identity.role is not Role.OWNER, token_ids)
