"""When and from where tokens were last used: written in batches, never bringing back a token."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite

from nightlatch.model.use import Use
from nightlatch.store.columns import Instant
from nightlatch.store.connection import Connection
from nightlatch.store.tables import token, token_use


def _source() -> Select[Any]:
    # A token that is being ended is passed over: waiting for it would hold up the whole batch,
    # and a row written for it would violate the foreign key.
    return (
        select(
            token.c.id,
            bindparam("moment", type_=Instant),
            bindparam("from_address", type_=token_use.c.address.type),
        )
        .where(token.c.digest == bindparam("of_token"))
        .with_for_update(key_share=True, skip_locked=True)
    )


def _upsert(dialect: str) -> Any:
    insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
    statement: Any = insert(token_use).from_select(["token_id", "used", "address"], _source())
    return statement.on_conflict_do_update(
        index_elements=["token_id"],
        set_={"used": statement.excluded.used, "address": statement.excluded.address},
        where=statement.excluded.used > token_use.c.used,
    )


_UPSERTS = {dialect: _upsert(dialect) for dialect in ("sqlite", "postgresql")}


async def record_uses(connection: Connection, uses: Sequence[Use]) -> None:
    """Keep each use unless a newer one is known."""
    parameters = [
        {
            "of_token": use.digest,
            "moment": datetime.fromtimestamp(use.seconds, UTC),
            "from_address": use.address,
        }
        for use in sorted(uses, key=lambda use: use.digest)
    ]
    await connection.execute(_UPSERTS[connection.dialect.name], parameters)
