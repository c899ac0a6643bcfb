"""Queries for refused logins: whom they named, and what was counted of them this minute."""

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, bindparam, func, or_, select, update

from nightlatch.model.event import EventKind
from nightlatch.model.names import OrganizationId, UserId
from nightlatch.model.refusal import CountedMinute, CountedRow, Name, Whom
from nightlatch.store.columns import database_epoch, database_now
from nightlatch.store.connection import Connection
from nightlatch.store.tables import change_counter, event, membership, organization, user

COUNTED_KINDS: Final = (EventKind.LOGIN_REFUSED, EventKind.LIMIT_REACHED, EventKind.THROTTLED)
"""Kinds of events of which like ones are counted together; no others are."""

_COUNTING: Final = 0x6E6C6372
"""PostgreSQL's advisory lock of whoever counts refusals."""


NAMES_MAX: Final = 40
"""Of so many at once it is asked whom they name. On SQLite that holds the event loop for a millisecond."""


def _any_of(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """One of NAMES_MAX values: to write a list of any length takes longer than to look the values up."""
    return column.in_([bindparam(f"{name}_{number}") for number in range(NAMES_MAX)])


def _padded(name: str, values: Collection[object]) -> dict[str, object]:
    # What is null equals nothing.
    padded = [*values, *[None] * (NAMES_MAX - len(values))]
    return {f"{name}_{number}": value for number, value in enumerate(padded)}


_USERS: Final = select(user.c.email, user.c.id).where(_any_of(user.c.email, "email"))
_ORGANIZATIONS: Final = select(organization.c.id).where(_any_of(organization.c.id, "organization"))
_MEMBERS: Final = select(membership.c.organization_id, membership.c.user_id).where(
    _any_of(membership.c.user_id, "user"), _any_of(membership.c.organization_id, "organization")
)
_LOCK: Final = select(func.pg_advisory_xact_lock(_COUNTING))


async def find_named(connection: Connection, names: Collection[Name]) -> dict[Name, Whom]:
    """Whom they name, NAMES_MAX at most.

    No user where they are no member of the organization that was named with them: by its events an owner
    could find out who has an account elsewhere.
    """
    usernames = {name.username for name in names if name.username is not None}
    organization_ids = {name.organization_id for name in names if name.organization_id is not None}
    found = await connection.execute(_USERS, _padded("email", usernames))
    users = {row.email: UserId(row.id) for row in found}
    named = _padded("organization", organization_ids)
    organizations = {
        row.id: OrganizationId(row.id) for row in await connection.execute(_ORGANIZATIONS, named)
    }
    found = await connection.execute(_MEMBERS, {**_padded("user", users.values()), **named})
    members = {(row.organization_id, row.user_id) for row in found}

    def whom(name: Name) -> Whom:
        organization_id = organizations.get(name.organization_id)
        user_id = users.get(name.username)
        if organization_id is not None and (organization_id, user_id) not in members:
            user_id = None
        return Whom(organization_id, user_id)

    return {name: whom(name) for name in names}


async def lock_counting(connection: Connection) -> None:
    """Until the transaction ends nobody else counts refusals: two would each begin a row."""
    if connection.dialect.name != "sqlite":  # where one process writes at a time anyhow
        await connection.execute(_LOCK)


_LIST_COUNTED: Final = select(
    event.c.id, event.c.kind, event.c.organization_id, event.c.user_id, event.c.address, event.c.detail
).where(
    event.c.at >= bindparam("begin", type_=event.c.at.type),
    event.c.at < bindparam("end", type_=event.c.at.type),
    or_(*(event.c.kind == kind for kind in COUNTED_KINDS)),
    event.c.id > bindparam("after_id"),
)


async def list_counted(connection: Connection, before: CountedMinute) -> CountedMinute:
    """This minute's rows, by the database's clock.

    Only those are read that came after `before`, if that was the same minute of the same history; for that
    to be all, the caller has locked the counting: then rows come in the order of their ids. Not those of
    later minutes, which are there when the clock was set back.
    """
    minute = await _read_minute(connection)
    if minute.is_same_as(before):
        minute = before
    parameters = {
        "begin": minute.begin,
        "end": minute.begin + timedelta(minutes=1),
        "after_id": minute.last_id,
    }
    found = await connection.execute(_LIST_COUNTED, parameters)
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
    last_id = max(new.values(), default=minute.last_id)
    return replace(minute, last_id=last_id, rows={**minute.rows, **new})


_MOMENT: Final = select(database_now().label("now"), database_epoch().label("epoch")).select_from(
    change_counter
)


async def _read_minute(connection: Connection) -> CountedMinute:
    """Which minute it is, and in which history; nothing is known of it yet."""
    moment = (await connection.execute(_MOMENT)).one()
    return CountedMinute(moment.now.replace(second=0, microsecond=0), moment.epoch, 0, {})


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
