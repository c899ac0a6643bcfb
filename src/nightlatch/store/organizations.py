"""Queries on organizations."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import bindparam, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from nightlatch.model.errors import AlreadyExists
from nightlatch.model.names import LimitPolicy, OrganizationId, UserId
from nightlatch.model.records import Organization, OrganizationSummary, Page
from nightlatch.store.columns import database_now, row_offset
from nightlatch.store.connection import Connection
from nightlatch.store.tables import membership, organization

_BY_ID = select(organization).where(organization.c.id == bindparam("id"))


def read_organization(row: Any) -> Organization:
    """The organization that a row with all columns tells."""
    return Organization(
        id=OrganizationId(row.id),
        name=row.name,
        token_limit=row.token_limit,
        limit_policy=LimitPolicy(row.limit_policy),
        time_to_live=row.time_to_live,
        created=row.created,
        closed=row.closed,
        child_token_limit=row.child_token_limit,
        child_time_to_live=row.child_time_to_live,
    )


async def find_organization(connection: Connection, organization_id: OrganizationId) -> Organization | None:
    """The organization, open or closed."""
    row = (await connection.execute(_BY_ID, {"id": organization_id})).one_or_none()
    return None if row is None else read_organization(row)


async def lock_organization(connection: Connection, organization_id: OrganizationId) -> Organization | None:
    """The organization, locked to the end of the transaction: first lock of every use case."""
    row = (await connection.execute(_BY_ID.with_for_update(), {"id": organization_id})).one_or_none()
    return None if row is None else read_organization(row)


async def list_organizations(connection: Connection, closed_too: bool) -> list[Organization]:
    """All organizations, by id."""
    query = select(organization).order_by(organization.c.id)
    if not closed_too:
        query = query.where(organization.c.closed.is_(None))
    return [read_organization(row) for row in await connection.execute(query)]


_OF_USER = (
    select(organization.c.id, organization.c.name)
    .join(membership, membership.c.organization_id == organization.c.id)
    .where(membership.c.user_id == bindparam("user_id"), organization.c.closed.is_(None))
)
_COUNT_OF_USER = select(func.count()).select_from(_OF_USER.subquery())
_PAGE_OF_USER = (
    _OF_USER.order_by(organization.c.name, organization.c.id)
    .limit(bindparam("row_limit"))
    .offset(bindparam("row_offset"))
)


async def list_organizations_of_user(
    connection: Connection, user_id: UserId, limit: int, offset: int
) -> Page[OrganizationSummary]:
    """The open organizations of which the user is a member, by name."""
    count = (await connection.execute(_COUNT_OF_USER, {"user_id": user_id})).scalar_one()
    parameters = {"user_id": user_id, "row_limit": limit, "row_offset": row_offset(offset)}
    rows = await connection.execute(_PAGE_OF_USER, parameters)
    return Page(tuple(OrganizationSummary(OrganizationId(row.id), row.name) for row in rows), count)


async def find_organizations_of_user(connection: Connection, user_id: UserId) -> list[OrganizationSummary]:
    """All open organizations of which the user is a member."""
    rows = await connection.execute(_OF_USER, {"user_id": user_id})
    return [OrganizationSummary(OrganizationId(row.id), row.name) for row in rows]


async def insert_organization(
    connection: Connection,
    organization_id: OrganizationId,
    name: str,
    token_limit: int,
    limit_policy: LimitPolicy,
    time_to_live: int | None,
) -> Organization:
    """A new organization; raises AlreadyExists."""
    values = {
        "id": organization_id,
        "name": name,
        "token_limit": token_limit,
        "limit_policy": limit_policy,
        "time_to_live": time_to_live,
        "created": database_now(),
    }
    try:
        row = (await connection.execute(insert(organization).values(values).returning(organization))).one()
    except IntegrityError as error:
        raise AlreadyExists(f"There is an organization '{organization_id}' already.") from error
    return read_organization(row)


async def update_organization(
    connection: Connection, organization_id: OrganizationId, values: Mapping[str, Any]
) -> Organization:
    """Set columns of an organization that the caller has locked."""
    row = (
        await connection.execute(
            update(organization)
            .where(organization.c.id == organization_id)
            .values(dict(values))
            .returning(organization)
        )
    ).one()
    return read_organization(row)


async def close_organization(connection: Connection, organization_id: OrganizationId) -> Organization:
    """Mark an organization that the caller has locked as closed; nothing opens it again."""
    return await update_organization(connection, organization_id, {"closed": database_now()})
