"""Queries on users."""

from typing import Any

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from nightlatch.model.errors import AlreadyExists
from nightlatch.model.names import Email, OrganizationId, UserId
from nightlatch.model.records import User
from nightlatch.store.columns import database_now
from nightlatch.store.connection import Connection
from nightlatch.store.tables import membership, user

_COLUMNS = (user.c.id, user.c.email, user.c.created, user.c.disabled)
_BY_EMAIL = select(*_COLUMNS).where(user.c.email == bindparam("email"))


def _user(row: Any) -> User:
    return User(UserId(row.id), Email(row.email), row.created, row.disabled)


async def find_user(connection: Connection, email: Email) -> User | None:
    """The user with that e-mail address."""
    row = (await connection.execute(_BY_EMAIL, {"email": email})).one_or_none()
    return None if row is None else _user(row)


_EMAIL = select(user.c.email).where(user.c.id == bindparam("id"))


async def get_email(connection: Connection, user_id: UserId) -> Email:
    """The e-mail address of a user that there is."""
    return Email((await connection.execute(_EMAIL, {"id": user_id})).scalar_one())


async def lock_user(connection: Connection, email: Email) -> User | None:
    """The user, locked to the end of the transaction: last lock of every use case."""
    row = (await connection.execute(_BY_EMAIL.with_for_update(), {"email": email})).one_or_none()
    return None if row is None else _user(row)


async def list_users(connection: Connection) -> list[User]:
    """All users, by e-mail address."""
    return [_user(row) for row in await connection.execute(select(*_COLUMNS).order_by(user.c.email))]


async def insert_user(connection: Connection, email: Email, password_hash: str) -> User:
    """A new user; raises AlreadyExists."""
    values = {"email": email, "password_hash": password_hash, "created": database_now()}
    try:
        row = (await connection.execute(insert(user).values(values).returning(*_COLUMNS))).one()
    except IntegrityError as error:
        raise AlreadyExists(
            f"There is a user '{email}' already. "
            f"To add them to an organization: nightlatch member add {email} --organization ID"
        ) from error
    return _user(row)


async def set_password(connection: Connection, user_id: UserId, password_hash: str) -> None:
    """A new password: logins that have checked the old one will see that the version has changed."""
    await connection.execute(
        update(user)
        .where(user.c.id == user_id)
        .values(password_hash=password_hash, password_version=user.c.password_version + 1)
    )


_REHASH = update(user).where(user.c.id == bindparam("user_id")).values(password_hash=bindparam("new_hash"))


async def store_rehash(connection: Connection, user_id: UserId, password_hash: str) -> None:
    """The same password hashed with other parameters; the caller holds the user's lock."""
    await connection.execute(_REHASH, {"user_id": user_id, "new_hash": password_hash})


async def set_disabled(connection: Connection, user_id: UserId, disabled: bool) -> User:
    """Disable or enable; a user disabled twice keeps the first time.

    Disabling ends what was begun with the password, as a change of it does: its version shows that after the
    user was enabled again, too.
    """
    query = update(user).where(user.c.id == user_id)
    if disabled:
        query = query.where(user.c.disabled.is_(None)).values(
            disabled=database_now(), password_version=user.c.password_version + 1
        )
    else:
        query = query.values(disabled=None)
    await connection.execute(query)
    return _user((await connection.execute(select(*_COLUMNS).where(user.c.id == user_id))).one())


async def list_organization_ids(connection: Connection, user_id: UserId) -> list[OrganizationId]:
    """The organizations of which the user is a member, in the order in which they are locked."""
    rows = await connection.execute(
        select(membership.c.organization_id)
        .where(membership.c.user_id == user_id)
        .order_by(membership.c.organization_id)
    )
    return [OrganizationId(row.organization_id) for row in rows]
