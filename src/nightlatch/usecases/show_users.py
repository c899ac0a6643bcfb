"""Show users and members to an operator."""

from nightlatch.model.names import OrganizationId
from nightlatch.model.records import Membership, User
from nightlatch.store.memberships import list_memberships
from nightlatch.store.organizations import find_organization
from nightlatch.store.users import list_users
from nightlatch.usecases.organization_rules import no_organization
from nightlatch.usecases.services import Services


async def show_users(services: Services) -> list[User]:
    """All users, by e-mail address."""
    async with services.store.read() as connection:
        return await list_users(connection)


async def show_members(services: Services, organization_id: OrganizationId) -> list[Membership]:
    """The organization's members, by e-mail address. Raises NotFound."""
    async with services.store.read() as connection:
        if await find_organization(connection, organization_id) is None:
            raise no_organization(organization_id)
        return await list_memberships(connection, organization_id)
