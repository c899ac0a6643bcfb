"""Removal of rows that nobody needs any more."""

from datetime import timedelta

from sqlalchemy import delete, select

from nightlatch.store.columns import database_now
from nightlatch.store.connection import Connection
from nightlatch.store.tables import change, token

EXPIRED_TOKENS_KEPT = timedelta(days=7)
CHANGES_KEPT = timedelta(hours=1)
BATCH_ROWS = 1000


async def prune(connection: Connection) -> int:
    """Delete a batch of long expired tokens and old change rows; the number of tokens deleted."""
    now = (await connection.execute(select(database_now()))).scalar_one()
    await connection.execute(delete(change).where(change.c.at < now - CHANGES_KEPT))
    expired = (
        select(token.c.id)
        .where(token.c.expiry < now - EXPIRED_TOKENS_KEPT)
        .order_by(token.c.id)
        .limit(BATCH_ROWS)
        .with_for_update(skip_locked=True)
    )
    rows = await connection.execute(delete(token).where(token.c.id.in_(expired)).returning(token.c.id))
    return len(rows.all())
