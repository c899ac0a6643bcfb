"""List the organizations that a user belongs to."""

from nightlatch.model.names import UserId
from nightlatch.model.records import OrganizationSummary, Page
from nightlatch.store.organizations import list_organizations_of_user
from nightlatch.usecases.services import Services


async def list_own_organizations(
    services: Services, user_id: UserId, limit: int, offset: int
) -> Page[OrganizationSummary]:
    """A page of the user's open organizations, by name."""
    async with services.store.read() as connection:
        return await list_organizations_of_user(connection, user_id, limit, offset)
