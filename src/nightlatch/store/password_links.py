"""Queries on links to set a password. A user has one at most; its secret is stored as a digest."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, delete, insert, select

from nightlatch.model.names import Email, UserId
from nightlatch.model.secret import Secret
from nightlatch.store.columns import database_now, database_now_plus
from nightlatch.store.connection import Connection
from nightlatch.store.tables import password_link, user


@dataclass(frozen=True, slots=True)
class FoundLink:
    """A link that has not been used: whose, and whether it is too late."""

    user_id: UserId
    email: Email
    expiry: datetime
    expired: bool


_FIND = (
    select(
        user.c.id,
        user.c.email,
        password_link.c.expiry,
        (password_link.c.expiry <= database_now()).label("expired"),
    )
    .join(user, user.c.id == password_link.c.user_id)
    .where(password_link.c.digest == bindparam("digest"))
)


async def find_link(connection: Connection, secret: Secret) -> FoundLink | None:
    """The link with that secret, expired or not."""
    row = (await connection.execute(_FIND, {"digest": secret.digest})).one_or_none()
    return None if row is None else FoundLink(UserId(row.id), Email(row.email), row.expiry, bool(row.expired))


async def insert_link(
    connection: Connection, user_id: UserId, secret: Secret, valid_seconds: int
) -> datetime:
    """Store a link in place of the user's older one; when it expires. The caller has locked the user."""
    await delete_links(connection, user_id)
    values = {
        "digest": secret.digest,
        "user_id": user_id,
        "created": database_now(),
        "expiry": database_now_plus(valid_seconds),
    }
    statement = insert(password_link).values(values).returning(password_link.c.expiry)
    expiry: datetime = (await connection.execute(statement)).scalar_one()
    return expiry


async def take_link(connection: Connection, secret: Secret) -> bool:
    """Delete the link; False if it is not there, or expired. The caller has locked its user."""
    rows = await connection.execute(
        delete(password_link)
        .where(password_link.c.digest == secret.digest, password_link.c.expiry > database_now())
        .returning(password_link.c.user_id)
    )
    return rows.one_or_none() is not None


async def delete_links(connection: Connection, user_id: UserId) -> None:
    """End the user's link. The caller has locked the user."""
    await connection.execute(delete(password_link).where(password_link.c.user_id == user_id))
