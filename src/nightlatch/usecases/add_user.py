"""Add a user, as a member of an organization or of none yet."""

from nightlatch.guard.passwords import check_new_password
from nightlatch.model.names import OrganizationId, Role, parse_email
from nightlatch.model.records import User
from nightlatch.store.memberships import insert_membership
from nightlatch.store.organizations import lock_organization
from nightlatch.store.users import insert_user
from nightlatch.usecases.organization_rules import no_organization
from nightlatch.usecases.services import Services


async def add_user(
    services: Services, email: str, password: str, organization_id: OrganizationId | None, role: Role
) -> User:
    """A new user. Raises InvalidValue, NotFound (no such organization) or AlreadyExists."""
    address = parse_email(email)
    check_new_password(password)
    password_hash = await services.passwords.hash(password)
    async with services.store.write() as connection:
        if organization_id is not None:
            organization = await lock_organization(connection, organization_id)
            if organization is None or organization.closed is not None:
                raise no_organization(organization_id)
        user = await insert_user(connection, address, password_hash)
        if organization_id is not None:
            await insert_membership(connection, organization_id, user.id, address, role)
    return user
