"""The two queries around a password check: what to check against, and whether it still holds."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, bindparam, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from nightlatch.model.names import Email, OrganizationId, Role, UserId
from nightlatch.store.columns import database_now
from nightlatch.store.tables import membership, organization, token, user


@dataclass(frozen=True, slots=True)
class LoginCandidate:
    """Whom a username and an organization id name, with what their password is checked against."""

    user_id: UserId
    email: Email
    role: Role
    password_hash: str
    password_version: int
    active: bool


@dataclass(frozen=True, slots=True)
class LockedLogin:
    """The organization's rules, read under the locks under which a token may be inserted.

    `now` is the database's clock, `time_to_live` in seconds.
    """

    now: datetime
    live_tokens: int
    token_limit: int
    time_to_live: int | None


_PATH = organization.join(membership, membership.c.organization_id == organization.c.id).join(
    user, user.c.id == membership.c.user_id
)

_CANDIDATE = (
    select(
        user.c.id,
        user.c.email,
        membership.c.role,
        user.c.password_hash,
        user.c.password_version,
        and_(user.c.disabled.is_(None), organization.c.closed.is_(None)).label("active"),
    )
    .select_from(_PATH)
    .where(user.c.email == bindparam("email"), organization.c.id == bindparam("organization_id"))
)

_LIVE_TOKENS = (
    select(func.count())
    .select_from(token)
    .where(
        token.c.organization_id == bindparam("organization_id"),
        or_(token.c.expiry.is_(None), token.c.expiry > database_now()),
    )
    .scalar_subquery()
)

# Locks organization, membership, user: the order of every use case. On PostgreSQL the count may
# miss tokens that committed while the locks were waited for; it only spares a futile insert, the
# database's own trigger decides.
_LOCK = (
    select(
        database_now().label("now"),
        organization.c.token_limit,
        organization.c.time_to_live,
        _LIVE_TOKENS.label("live_tokens"),
    )
    .select_from(_PATH)
    .where(
        organization.c.id == bindparam("organization_id"),
        organization.c.closed.is_(None),
        user.c.id == bindparam("user_id"),
        user.c.disabled.is_(None),
        user.c.password_version == bindparam("password_version"),
    )
    .with_for_update(of=[organization, membership, user])
)


async def find_candidate(
    connection: AsyncConnection, email: Email, organization_id: OrganizationId
) -> LoginCandidate | None:
    """Whom to check the password of: None for an unknown user or organization, or a non-member."""
    parameters = {"email": email, "organization_id": organization_id}
    row = (await connection.execute(_CANDIDATE, parameters)).one_or_none()
    if row is None:
        return None
    return LoginCandidate(
        UserId(row.id),
        Email(row.email),
        Role(row.role),
        row.password_hash,
        row.password_version,
        bool(row.active),
    )


async def lock_login(
    connection: AsyncConnection, candidate: LoginCandidate, organization_id: OrganizationId
) -> LockedLogin | None:
    """Lock what the login depends on; None if it changed since the candidate was read (H10)."""
    parameters = {
        "organization_id": organization_id,
        "user_id": candidate.user_id,
        "password_version": candidate.password_version,
    }
    row = (await connection.execute(_LOCK, parameters)).one_or_none()
    return None if row is None else LockedLogin(row.now, row.live_tokens, row.token_limit, row.time_to_live)
