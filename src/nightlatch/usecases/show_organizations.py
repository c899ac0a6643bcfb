"""Show organizations to an operator."""

from nightlatch.model.names import OrganizationId
from nightlatch.model.records import Organization
from nightlatch.store.organizations import find_organization, list_organizations
from nightlatch.usecases.organization_rules import no_organization
from nightlatch.usecases.services import Services


async def show_organizations(services: Services, closed_too: bool) -> list[Organization]:
    """All open organizations, by id; the closed ones too where asked."""
    async with services.store.read() as connection:
        return await list_organizations(connection, closed_too)


async def show_organization(services: Services, organization_id: OrganizationId) -> Organization:
    """One organization, open or closed. Raises NotFound."""
    async with services.store.read() as connection:
        found = await find_organization(connection, organization_id)
    if found is None:
        raise no_organization(organization_id)
    return found
