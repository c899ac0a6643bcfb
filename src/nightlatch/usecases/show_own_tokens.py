"""Show in a session the live tokens: to an owner the organization's, to a member their own."""

from nightlatch.model.records import TokenOverview
from nightlatch.model.session import Session
from nightlatch.store.tokens import read_overview
from nightlatch.usecases.list_tokens import visible_user
from nightlatch.usecases.services import Services


async def show_own_tokens(services: Services, session: Session) -> TokenOverview:
    """All of them, with how many the organization has and may have. Raises StoreUnavailable."""
    identity = session.identity
    async with services.store.read() as connection:
        return await read_overview(connection, identity.organization_id, visible_user(identity))
