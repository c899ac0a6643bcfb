"""Queries on invitations. For an address an organization has one at most; stored is a digest."""

from typing import Any, Final

from sqlalchemy import Select, bindparam, delete, func, insert, select

from nightlatch.model.invitation import (
    FoundInvitation,
    InvitationId,
    InvitationRecord,
    IssuedInvitation,
    generate_invitation_id,
)
from nightlatch.model.names import Email, OrganizationId, Role
from nightlatch.model.secret import Secret
from nightlatch.store.columns import database_now, database_now_plus
from nightlatch.store.connection import Connection
from nightlatch.store.tables import invitation, organization

_EXPIRED: Final = (invitation.c.expiry <= database_now()).label("expired")
_LISTED: Final = (
    invitation.c.id,
    invitation.c.email,
    invitation.c.role,
    invitation.c.invited_by,
    invitation.c.created,
    invitation.c.expiry,
)


def _record(row: Any) -> InvitationRecord:
    return InvitationRecord(
        InvitationId(row.id),
        Email(row.email),
        Role(row.role),
        Email(row.invited_by),
        row.created,
        row.expiry,
        bool(row.expired),
    )


async def list_invitations(connection: Connection, organization_id: OrganizationId) -> list[InvitationRecord]:
    """The organization's invitations that have not been used, by address; expired ones too, until pruned."""
    query: Select[Any] = (
        select(*_LISTED, _EXPIRED)
        .where(invitation.c.organization_id == organization_id)
        .order_by(invitation.c.email)
    )
    return [_record(row) for row in await connection.execute(query)]


async def count_invitations(connection: Connection, organization_id: OrganizationId) -> int:
    """How many of them there are."""
    query = (
        select(func.count()).select_from(invitation).where(invitation.c.organization_id == organization_id)
    )
    count: int = (await connection.execute(query)).scalar_one()
    return count


async def insert_invitation(
    connection: Connection,
    organization_id: OrganizationId,
    email: Email,
    role: Role,
    invited_by: Email,
    secret: Secret,
    valid_seconds: int,
) -> IssuedInvitation:
    """Store an invitation; the caller has locked the organization, and deleted the one before it."""
    invitation_id = generate_invitation_id()
    values = {
        "digest": secret.digest,
        "id": invitation_id,
        "organization_id": organization_id,
        "email": email,
        "role": role,
        "invited_by": invited_by,
        "created": database_now(),
        "expiry": database_now_plus(valid_seconds),
    }
    statement = insert(invitation).values(values).returning(invitation.c.expiry)
    expiry = (await connection.execute(statement)).scalar_one()
    return IssuedInvitation(invitation_id, secret, email, role, expiry)


async def delete_invitation_of(connection: Connection, organization_id: OrganizationId, email: Email) -> None:
    """End the organization's invitation for that address; the caller has locked the organization."""
    await connection.execute(
        delete(invitation).where(invitation.c.organization_id == organization_id, invitation.c.email == email)
    )


async def delete_invitation(
    connection: Connection, organization_id: OrganizationId, invitation_id: InvitationId
) -> InvitationRecord | None:
    """End one of the organization's invitations; None if there was none."""
    rows = await connection.execute(
        delete(invitation)
        .where(invitation.c.organization_id == organization_id, invitation.c.id == invitation_id)
        .returning(*_LISTED, _EXPIRED)
    )
    row = rows.one_or_none()
    return None if row is None else _record(row)


async def take_invitation(connection: Connection, secret: Secret) -> bool:
    """Delete the invitation; False if it is not there, or expired. The caller has locked its organization."""
    rows = await connection.execute(
        delete(invitation)
        .where(invitation.c.digest == secret.digest, invitation.c.expiry > database_now())
        .returning(invitation.c.id)
    )
    return rows.one_or_none() is not None


_FIND: Final = (
    select(
        invitation.c.organization_id,
        organization.c.name,
        invitation.c.email,
        invitation.c.role,
        invitation.c.invited_by,
        invitation.c.expiry,
        _EXPIRED,
    )
    .join(organization, organization.c.id == invitation.c.organization_id)
    .where(invitation.c.digest == bindparam("digest"), organization.c.closed.is_(None))
)


async def find_invitation(connection: Connection, secret: Secret) -> FoundInvitation | None:
    """The invitation with that secret, expired or not; None for one to an organization that was closed."""
    row = (await connection.execute(_FIND, {"digest": secret.digest})).one_or_none()
    if row is None:
        return None
    return FoundInvitation(
        OrganizationId(row.organization_id),
        row.name,
        Email(row.email),
        Role(row.role),
        Email(row.invited_by),
        row.expiry,
        bool(row.expired),
    )
