"""Queries on events: the audit log."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Update, and_, bindparam, delete, func, insert, or_, select, update

from nightlatch.model.event import ActorKind, Event, EventFilter, EventRecord, Retention
from nightlatch.model.names import Email, OrganizationId, TokenId
from nightlatch.store.columns import database_now, row_offset
from nightlatch.store.connection import Connection
from nightlatch.store.tables import event, event_client

BATCH_ROWS: Final = 1000
"""How many one transaction erases or deletes."""

_GIVEN = (
    *("kind", "organization_id", "actor", "actor_user_id", "actor_email", "actor_token_id"),
    *("user_id", "email", "token_id", "address", "user_agent", "request_id", "detail", "count"),
)
# The names of columns are the statement's own.
_INSERT = insert(event).values(at=database_now(), **{name: bindparam(f"new_{name}") for name in _GIVEN})


async def insert_event(
    connection: Connection, new: Event, count: int = 1, beside: Update | None = None
) -> None:
    """Record it, in the transaction of what it tells of: the one is not without the other.

    On PostgreSQL `beside` may be what it tells of, made in the same statement, where there is no
    transaction around.
    """
    statement = _INSERT if beside is None else _INSERT.add_cte(beside.cte("told_of"))
    await connection.execute(statement, _values(new, count))


async def insert_events(connection: Connection, events: Sequence[tuple[Event, int]]) -> None:
    """Record several, each with its count, in one statement."""
    if events:
        await connection.execute(_INSERT, [_values(new, count) for new, count in events])


def _values(new: Event, count: int) -> dict[str, Any]:
    actor, origin = new.actor, new.actor.origin
    values = {
        "kind": new.kind,
        "organization_id": new.organization_id,
        "actor": actor.kind,
        "actor_user_id": actor.user_id,
        "actor_email": actor.email,
        "actor_token_id": actor.token_id,
        "user_id": new.user_id,
        "email": new.email,
        "token_id": new.token_id,
        "address": origin.address or None,
        "user_agent": origin.user_agent or None,
        "request_id": origin.request_id or None,
        "detail": json.dumps(new.detail),
        "count": count,
    }
    return {f"new_{name}": value for name, value in values.items()}


_COLUMNS = (
    *(event.c.id, event.c.at, event.c.kind, event.c.organization_id, event.c.actor),
    *(event.c.actor_email, event.c.actor_token_id, event.c.email, event.c.token_id),
    *(event.c.address, event.c.user_agent, event.c.request_id, event.c.detail, event.c["count"]),
)


def _record(row: Any) -> EventRecord:
    return EventRecord(
        id=row.id,
        at=row.at,
        kind=row.kind,
        organization_id=None if row.organization_id is None else OrganizationId(row.organization_id),
        actor=ActorKind(row.actor),
        actor_email=None if row.actor_email is None else Email(row.actor_email),
        actor_token_id=None if row.actor_token_id is None else TokenId(row.actor_token_id),
        email=None if row.email is None else Email(row.email),
        token_id=None if row.token_id is None else TokenId(row.token_id),
        address=row.address,
        user_agent=row.user_agent,
        request_id=row.request_id,
        detail=json.loads(row.detail),
        count=row[-1],  # a row has a method of that name
    )


def _fitting(chosen: EventFilter) -> list[ColumnElement[bool]]:
    """The filter, the organization's part of it included: every query that lists goes through it."""
    conditions: list[ColumnElement[bool]] = []
    if chosen.organization_id is not None:
        conditions.append(event.c.organization_id == chosen.organization_id)
    if chosen.email is not None:
        conditions.append(event.c.email == chosen.email)
    if chosen.kind is not None:
        conditions.append(event.c.kind == chosen.kind)
    if chosen.since is not None:
        conditions.append(event.c.at >= chosen.since)
    if chosen.until is not None:
        conditions.append(event.c.at < chosen.until)
    return conditions


async def list_newest_events(
    connection: Connection, chosen: EventFilter, limit: int, offset: int = 0
) -> list[EventRecord]:
    """The events that fit, newest first."""
    query = (
        select(*_COLUMNS)
        .where(*_fitting(chosen))
        .order_by(event.c.at.desc(), event.c.id.desc())
        .limit(limit)
        .offset(row_offset(offset))
    )
    return [_record(row) for row in await connection.execute(query)]


async def count_events(connection: Connection, chosen: EventFilter, most: int) -> int:
    """How many fit; it stops counting at `most`, so that it takes no longer for a million."""
    found = select(event.c.id).where(*_fitting(chosen)).limit(row_offset(most)).subquery()
    count: int = (await connection.execute(select(func.count()).select_from(found))).scalar_one()
    return count


async def list_oldest_events(
    connection: Connection,
    chosen: EventFilter,
    after: EventRecord | None = None,
    limit: int | None = None,
) -> list[EventRecord]:
    """The events that fit and come after that one, oldest first."""
    query = select(*_COLUMNS).where(*_fitting(chosen)).order_by(event.c.at, event.c.id).limit(limit)
    if after is not None:
        query = query.where(
            event.c.at >= after.at,
            or_(event.c.at > after.at, and_(event.c.at == after.at, event.c.id > after.id)),
        )
    return [_record(row) for row in await connection.execute(query)]


async def read_now(connection: Connection) -> datetime:
    """The database's clock."""
    now: datetime = (await connection.execute(select(database_now()))).scalar_one()
    return now


async def prune_events(connection: Connection, retention: Retention) -> int:
    """Erase and delete a batch of what is older than it is kept; how many events that were."""
    now = await read_now(connection)
    kept_since = now - timedelta(days=retention.event_days)
    known_since = now - timedelta(days=retention.address_days)
    gone = _oldest(event.c.at < kept_since)
    deleted = await connection.execute(delete(event).where(event.c.id.in_(gone)).returning(event.c.id))
    known = _oldest(event.c.at < known_since, event.c.at >= kept_since, event_client)
    erased = await connection.execute(
        update(event).where(event.c.id.in_(known)).values(address=None, user_agent=None).returning(event.c.id)
    )
    return len(deleted.all()) + len(erased.all())


def _oldest(*conditions: ColumnElement[bool]) -> Any:
    return select(event.c.id).where(*conditions).order_by(event.c.at).limit(BATCH_ROWS)
