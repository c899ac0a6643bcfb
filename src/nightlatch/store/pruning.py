"""Removal of rows that nobody needs any more, in batches."""

from datetime import timedelta

from sqlalchemy import Table, delete, func, select, tuple_

from nightlatch.store.columns import database_now, day_of
from nightlatch.store.connection import Connection
from nightlatch.store.tables import (
    change,
    child_token,
    invitation,
    password_link,
    session,
    token,
    token_usage,
)

EXPIRED_TOKENS_KEPT = timedelta(days=7)
EXPIRED_CHILDREN_KEPT = timedelta(days=1)
"""Shorter: they are made by the hour, and by whoever loads a page."""
EXPIRED_LINKS_KEPT = timedelta(days=7)
"""For so long a link to set a password, or an invitation, says that it has expired."""
CHANGES_KEPT = timedelta(hours=1)
USAGE_DAYS_KEPT = 40
"""More than are shown: the clock of a database may be set back."""
BATCH_ROWS = 1000
_ADVISORY_LOCK = 0x6E6C7072
"""Held to the end of a transaction that prunes: on PostgreSQL one process does it at a time."""


async def may_prune(connection: Connection) -> bool:
    """Whether no other transaction is pruning; then none does before this one ends."""
    if connection.dialect.name == "sqlite":
        return True  # it has one writer at a time anyway
    query = select(func.pg_try_advisory_xact_lock(_ADVISORY_LOCK))
    free: bool = (await connection.execute(query)).scalar_one()
    return free


async def prune_changes(connection: Connection) -> int:
    """Delete a batch of old rows of the change feed, the oldest first; how many."""
    now = (await connection.execute(select(database_now()))).scalar_one()
    # The first are deleted up to a number: what stays has no gap.
    old = select(change.c.number, change.c.at).order_by(change.c.number).limit(BATCH_ROWS).subquery()
    last = select(func.max(old.c.number)).where(old.c.at < now - CHANGES_KEPT).scalar_subquery()
    rows = await connection.execute(delete(change).where(change.c.number <= last).returning(change.c.number))
    return len(rows.all())


async def prune_tokens(connection: Connection) -> int:
    """Delete a batch of tokens that expired long ago; how many."""
    return await _prune_expired(connection, token, EXPIRED_TOKENS_KEPT)


async def prune_child_tokens(connection: Connection) -> int:
    """Delete a batch of child tokens that expired long ago; how many."""
    return await _prune_expired(connection, child_token, EXPIRED_CHILDREN_KEPT)


async def prune_links(connection: Connection) -> int:
    """Delete a batch of links to set a password that expired long ago; how many."""
    return await _prune_expired(connection, password_link, EXPIRED_LINKS_KEPT)


async def prune_invitations(connection: Connection) -> int:
    """Delete a batch of invitations that expired long ago; how many."""
    return await _prune_expired(connection, invitation, EXPIRED_LINKS_KEPT)


async def prune_sessions(connection: Connection) -> int:
    """Delete a batch of expired sessions; how many."""
    return await _prune_expired(connection, session, timedelta(0))


async def _prune_expired(connection: Connection, table: Table, kept: timedelta) -> int:
    """Delete a batch of rows that expired so long ago, in the order of their keys; how many."""
    now = (await connection.execute(select(database_now()))).scalar_one()
    (key,) = table.primary_key.columns
    expired = (
        select(key)
        .where(table.c.expiry < now - kept)
        .order_by(key)
        .limit(BATCH_ROWS)
        .with_for_update(skip_locked=True)
    )
    rows = await connection.execute(delete(table).where(key.in_(expired)).returning(key))
    return len(rows.all())


async def prune_usage(connection: Connection) -> int:
    """Delete a batch of what tokens were used on days long ago; how many rows."""
    today = (await connection.execute(select(day_of(database_now())))).scalar_one()
    key = (token_usage.c.organization_id, token_usage.c.day, token_usage.c.token_id)
    old = (
        select(*key)
        .where(token_usage.c.day < today - USAGE_DAYS_KEPT)
        .limit(BATCH_ROWS)
        .with_for_update(skip_locked=True)
    )
    rows = await connection.execute(
        delete(token_usage).where(tuple_(*key).in_(old)).returning(token_usage.c.day)
    )
    return len(rows.all())
