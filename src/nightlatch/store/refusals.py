"""Queries for refused logins: whom they named, and what was counted of them this minute."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import bindparam, func, select, update

from nightlatch.model.event import EventKind
from nightlatch.model.names import OrganizationId, UserId
from nightlatch.store.connection import Connection
from nightlatch.store.events import read_now
from nightlatch.store.tables import event, membership, organization, user

COUNTED_KINDS: Final = (EventKind.LOGIN_REFUSED, EventKind.LIMIT_REACHED, EventKind.THROTTLED)
"""Kinds of events of which like ones are counted together; no others are."""

_COUNTING: Final = 0x6E6C6372
"""PostgreSQL's advisory lock of whoever counts refusals."""


@dataclass(frozen=True, slots=True)
class CountedRow:
    """What refusals that are counted in one row have in common."""

    kind: EventKind
    reason: str
    organization_id: OrganizationId | None
    user_id: UserId | None
    address: str | None


@dataclass(frozen=True, slots=True)
class Counted:
    """The rows of a minute with their ids, up to the last one."""

    minute: datetime
    last_id: int
    rows: Mapping[CountedRow, int]


NOTHING_COUNTED: Final = Counted(datetime.min.replace(tzinfo=UTC), 0, {})


@dataclass(frozen=True, slots=True)
class Named:
    """Who and what there is, of whom and what refused logins named."""

    users: dict[str, UserId]
    organizations: frozenset[str]
    members: frozenset[tuple[str, UserId]]


async def find_named(
    connection: Connection, usernames: Collection[str], organization_ids: Collection[str]
) -> Named:
    """The users and organizations among those names, and who of them is a member where."""
    users = await connection.execute(select(user.c.email, user.c.id).where(user.c.email.in_(usernames)))
    found = {row.email: UserId(row.id) for row in users}
    organizations = await connection.execute(
        select(organization.c.id).where(organization.c.id.in_(organization_ids))
    )
    known = frozenset(row.id for row in organizations)
    memberships = await connection.execute(
        select(membership.c.organization_id, membership.c.user_id).where(
            membership.c.user_id.in_(found.values()), membership.c.organization_id.in_(known)
        )
    )
    return Named(found, known, frozenset((row.organization_id, UserId(row.user_id)) for row in memberships))


async def lock_counting(connection: Connection) -> None:
    """Until the transaction ends nobody else counts refusals: two would each begin a row."""
    if connection.dialect.name != "sqlite":  # where one process writes at a time anyhow
        await connection.execute(select(func.pg_advisory_xact_lock(_COUNTING)))


async def list_counted(connection: Connection, before: Counted) -> Counted:
    """This minute's rows, by the database's clock.

    Only those are read that came after `before`, if that was the same minute; for that to be all, the
    caller has locked the counting: then rows come in the order of their ids. Not those of later minutes,
    which are there when the clock was set back.
    """
    minute = (await read_now(connection)).replace(second=0, microsecond=0)
    if before.minute != minute:
        before = Counted(minute, 0, {})
    found = await connection.execute(
        select(
            event.c.id,
            event.c.kind,
            event.c.organization_id,
            event.c.user_id,
            event.c.address,
            event.c.detail,
        ).where(
            event.c.at >= minute,
            event.c.at < minute + timedelta(minutes=1),
            event.c.kind.in_(COUNTED_KINDS),
            event.c.id > before.last_id,
        )
    )
    new = {
        CountedRow(
            EventKind(row.kind),
            json.loads(row.detail)["reason"],
            None if row.organization_id is None else OrganizationId(row.organization_id),
            None if row.user_id is None else UserId(row.user_id),
            row.address,
        ): row.id
        for row in found
    }
    return Counted(minute, max(new.values(), default=before.last_id), {**before.rows, **new})


_RAISE = (
    update(event)
    .where(event.c.id == bindparam("of_id"))
    .values({event.c["count"]: event.c["count"] + bindparam("more")})
)


async def raise_counts(connection: Connection, more: Mapping[int, int]) -> None:
    """So many more of each kind were counted, by the event's id."""
    if more:
        parameters = [{"of_id": event_id, "more": count} for event_id, count in more.items()]
        await connection.execute(_RAISE, parameters)
