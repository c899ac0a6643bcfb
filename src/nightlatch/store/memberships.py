"""Queries on memberships: who belongs to which organization, and as what."""

from typing import Any

from sqlalchemy import bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from nightlatch.model.errors import AlreadyExists
from nightlatch.model.names import Email, OrganizationId, Role, UserId
from nightlatch.model.records import Membership
from nightlatch.store.columns import database_now
from nightlatch.store.connection import Connection
from nightlatch.store.tables import membership, user

_LISTED = select(
    membership.c.organization_id,
    membership.c.user_id,
    user.c.email,
    membership.c.role,
    membership.c.created,
    user.c.disabled,
).join(user, user.c.id == membership.c.user_id)


def _membership(row: Any) -> Membership:
    return Membership(
        OrganizationId(row.organization_id),
        UserId(row.user_id),
        Email(row.email),
        Role(row.role),
        row.created,
        row.disabled,
    )


async def find_membership(
    connection: Connection, organization_id: OrganizationId, user_id: UserId
) -> Membership | None:
    """The user's membership in the organization."""
    query = _LISTED.where(membership.c.organization_id == organization_id, membership.c.user_id == user_id)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else _membership(row)


_NAMED = (
    select(membership.c.user_id)
    .join(user, user.c.id == membership.c.user_id)
    .where(membership.c.organization_id == bindparam("organization_id"), user.c.email == bindparam("email"))
)


async def is_member(connection: Connection, organization_id: OrganizationId, email: Email) -> bool:
    """Whether the user with that e-mail address belongs to the organization."""
    named = {"organization_id": organization_id, "email": email}
    return (await connection.execute(_NAMED, named)).one_or_none() is not None


async def list_memberships(connection: Connection, organization_id: OrganizationId) -> list[Membership]:
    """The organization's members, by e-mail address."""
    query = _LISTED.where(membership.c.organization_id == organization_id).order_by(user.c.email)
    return [_membership(row) for row in await connection.execute(query)]


async def insert_membership(
    connection: Connection, organization_id: OrganizationId, user_id: UserId, email: Email, role: Role
) -> None:
    """Make the user a member; raises AlreadyExists. The caller has locked the organization."""
    values = {
        "organization_id": organization_id,
        "user_id": user_id,
        "role": role,
        "created": database_now(),
    }
    try:
        await connection.execute(insert(membership).values(values))
    except IntegrityError as error:
        raise AlreadyExists(f"'{email}' is a member of '{organization_id}' already.") from error


async def set_role(
    connection: Connection, organization_id: OrganizationId, user_id: UserId, role: Role
) -> None:
    """Change what a member may do."""
    await connection.execute(
        update(membership)
        .where(membership.c.organization_id == organization_id, membership.c.user_id == user_id)
        .values(role=role)
    )


async def delete_membership(connection: Connection, organization_id: OrganizationId, user_id: UserId) -> None:
    """End a membership; the database ends its tokens with it."""
    await connection.execute(
        delete(membership).where(
            membership.c.organization_id == organization_id, membership.c.user_id == user_id
        )
    )


async def count_other_active_owners(
    connection: Connection, organization_id: OrganizationId, user_id: UserId
) -> int:
    """How many owners the organization would have without this user."""
    query = (
        select(func.count())
        .select_from(membership)
        .join(user, user.c.id == membership.c.user_id)
        .where(
            membership.c.organization_id == organization_id,
            membership.c.role == Role.OWNER,
            membership.c.user_id != user_id,
            user.c.disabled.is_(None),
        )
    )
    count: int = (await connection.execute(query)).scalar_one()
    return count
