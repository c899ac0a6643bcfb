"""From where members have logged in before."""

from datetime import timedelta
from typing import Any, Final

from sqlalchemy import bindparam, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from nightlatch.model.names import OrganizationId, UserId
from nightlatch.store.columns import database_now
from nightlatch.store.connection import Connection
from nightlatch.store.tables import known_address

ADDRESSES_MAX: Final = 20
"""Of one membership; the one that was not used for the longest time goes first."""
NOTED_AGAIN: Final = timedelta(days=1)
"""How old a note of an address's use may be."""
SETTLED: Final = timedelta(minutes=1)
"""Longer than a transaction with such a note, and what is remembered from before its commit, can last."""

_OF_MEMBERSHIP = (
    known_address.c.organization_id == bindparam("of_organization"),
    known_address.c.user_id == bindparam("of_user"),
)


def _upsert(dialect: str) -> Any:
    insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
    statement: Any = insert(known_address).values(
        organization_id=bindparam("of_organization"),
        user_id=bindparam("of_user"),
        address=bindparam("from_address"),
        used=database_now(),
    )
    return statement.on_conflict_do_update(
        index_elements=["organization_id", "user_id", "address"], set_={"used": statement.excluded.used}
    )


_UPSERTS = {dialect: _upsert(dialect) for dialect in ("sqlite", "postgresql")}
_TRIM = delete(known_address).where(
    *_OF_MEMBERSHIP,
    known_address.c.address.not_in(
        select(known_address.c.address)
        .where(*_OF_MEMBERSHIP)
        .order_by(known_address.c.used.desc(), known_address.c.address)
        .limit(ADDRESSES_MAX)
    ),
)

_KNOWN_TO_ANYBODY = (
    select(known_address.c.address).where(known_address.c.address == bindparam("from_address")).limit(1)
)


async def is_known_to_anybody(connection: Connection, address: str) -> bool:
    """Whether any member has come from there."""
    found = await connection.execute(_KNOWN_TO_ANYBODY, {"from_address": address})
    return found.first() is not None


async def note_address(
    connection: Connection, organization_id: OrganizationId, user_id: UserId, address: str
) -> None:
    """Note that the member has come from there; the caller has locked the membership."""
    of_member = {"of_organization": organization_id, "of_user": user_id}
    await connection.execute(_UPSERTS[connection.dialect.name], {**of_member, "from_address": address})
    await connection.execute(_TRIM, of_member)
