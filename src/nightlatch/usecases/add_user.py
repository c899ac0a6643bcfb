"""Add a user, as a member of an organization or of none yet."""

from nightlatch.model.event import OPERATOR, Event, EventKind
from nightlatch.model.names import Email, OrganizationId, Role, parse_email
from nightlatch.model.password_link import IssuedLink
from nightlatch.model.records import OrganizationSummary, User
from nightlatch.store.connection import Connection
from nightlatch.store.events import insert_event
from nightlatch.store.memberships import insert_membership
from nightlatch.store.organizations import find_organization
from nightlatch.store.users import insert_user
from nightlatch.usecases.find_person import lock_open_organization
from nightlatch.usecases.issue_password_link import check_valid_seconds, store_new_link
from nightlatch.usecases.services import Services


async def add_user(
    services: Services, email: str, password: str, organization_id: OrganizationId | None, role: Role
) -> User:
    """A new user with a password. Raises InvalidValue, NotFound (no such organization) or AlreadyExists."""
    address = parse_email(email)
    organizations = await _named(services, organization_id)
    services.password_rules.check(password, address, organizations)
    password_hash = await services.passwords.hash(password)
    async with services.store.write() as connection:
        return await _insert(connection, address, password_hash, organization_id, role)


async def add_user_with_link(
    services: Services, email: str, organization_id: OrganizationId | None, role: Role, valid_seconds: int
) -> tuple[User, IssuedLink]:
    """A new user who cannot log in before they have set a password with the link.

    Raises InvalidValue, NotFound (no such organization) or AlreadyExists.
    """
    address = parse_email(email)
    check_valid_seconds(valid_seconds)
    password_hash = await services.passwords.unusable_hash()
    async with services.store.write() as connection:
        user = await _insert(connection, address, password_hash, organization_id, role)
        return user, await store_new_link(connection, user.id, user.email, valid_seconds)


async def _named(services: Services, organization_id: OrganizationId | None) -> list[OrganizationSummary]:
    if organization_id is None:
        return []
    async with services.store.read() as connection:
        organization = await find_organization(connection, organization_id)
    return [] if organization is None else [OrganizationSummary(organization.id, organization.name)]


async def _insert(
    connection: Connection,
    address: Email,
    password_hash: str,
    organization_id: OrganizationId | None,
    role: Role,
) -> User:
    if organization_id is not None:
        await lock_open_organization(connection, organization_id)
    user = await insert_user(connection, address, password_hash)
    if organization_id is not None:
        await insert_membership(connection, organization_id, user.id, address, role)
    detail = {} if organization_id is None else {"role": role}
    event = Event(EventKind.USER_ADDED, OPERATOR, organization_id, user.id, address, detail=detail)
    await insert_event(connection, event)
    return user
