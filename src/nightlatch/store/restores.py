"""Queries after a restore: what a backup cannot vouch for is ended, what may have been lost is listed."""

import secrets
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Select,
    delete,
    exists,
    func,
    literal,
    null,
    or_,
    select,
    text,
    union_all,
    update,
)

from nightlatch.model.names import Email, OrganizationId
from nightlatch.model.records import Ended, RecentChange
from nightlatch.store.columns import database_now
from nightlatch.store.connection import Connection
from nightlatch.store.tables import (
    change,
    change_counter,
    event,
    invitation,
    membership,
    organization,
    password_link,
    session,
    token,
    token_use,
    user,
)

REVIEWED: Final = timedelta(days=30)
_REVIEWED_EVENTS: Final = ("user", "member", "password", "organization")
"""How the kinds of events begin that tell of people and what they may do, not of tokens."""

_MOMENTS: Final = (
    organization.c.created,
    organization.c.closed,
    user.c.created,
    user.c.disabled,
    membership.c.created,
    token.c.created,
    token_use.c.used,
    change.c.at,
    event.c.at,
)


async def renew_epoch(connection: Connection) -> None:
    """Begin another history: whoever remembers anything of this database forgets it."""
    await connection.execute(update(change_counter).values(epoch=secrets.token_hex(16)))


async def end_everything(connection: Connection) -> Ended:
    """Delete every token, session, invitation and link to set a password, whatever their number."""
    tokens: int = (await connection.execute(select(func.count()).select_from(token))).scalar_one()
    links: int = (await connection.execute(select(func.count()).select_from(password_link))).scalar_one()
    if connection.dialect.name == "postgresql":
        # Row by row, a hundred thousand take minutes: each writes its change within COMMIT.
        await connection.execute(
            text("TRUNCATE password_link, invitation, session, child_token, token, token_use")
        )
    else:
        for ended in (token, session, invitation, password_link):
            await connection.execute(delete(ended))
    return Ended(tokens, links)


async def last_moment(connection: Connection) -> datetime:
    """When the database was last written to, as far as its rows tell; now, if they tell nothing."""
    found = [(await connection.execute(select(func.max(column)))).scalar_one() for column in _MOMENTS]
    last: datetime | None = max((moment for moment in found if moment is not None), default=None)
    now: datetime = (await connection.execute(select(database_now()))).scalar_one()
    return now if last is None else min(last, now)


async def list_recent_changes(connection: Connection, since: datetime) -> tuple[RecentChange, ...]:
    """Users, memberships and organizations made or changed since then, in the order of time."""
    rows = await connection.execute(union_all(*_recent(since)).order_by("at", "what", "email"))
    return tuple(
        RecentChange(
            row.at,
            row.what,
            None if row.email is None else Email(row.email),
            None if row.organization_id is None else OrganizationId(row.organization_id),
        )
        for row in rows
    )


def _recent(since: datetime) -> list[Select[Any]]:
    # What the rows themselves tell, and the events that tell the same.
    columns = {
        "user added": (user.c.created, user.c.email, None, user, ("user_added",)),
        "user disabled": (user.c.disabled, user.c.email, None, user, ("user_disabled",)),
        "member added": (
            membership.c.created,
            user.c.email,
            membership.c.organization_id,
            membership.join(user, user.c.id == membership.c.user_id),
            ("member_added", "user_added"),
        ),
        "organization added": (
            organization.c.created,
            None,
            organization.c.id,
            organization,
            ("organization_added",),
        ),
        "organization closed": (
            organization.c.closed,
            None,
            organization.c.id,
            organization,
            ("organization_closed",),
        ),
    }
    rows: list[Select[Any]] = [
        select(
            moment.label("at"),
            literal(what).label("what"),
            (null() if email is None else email).label("email"),
            (null() if organization_id is None else organization_id).label("organization_id"),
        )
        .select_from(source)
        .where(moment >= since, ~_is_recorded(since, kinds, email, organization_id))
        for what, (moment, email, organization_id, source, kinds) in columns.items()
    ]
    recorded = (
        select(event.c.at, event.c.kind.label("what"), event.c.email, event.c.organization_id)
        .where(event.c.at >= since)
        .where(or_(*(event.c.kind.like(f"{kind}%") for kind in _REVIEWED_EVENTS)))
    )
    return [*rows, recorded]


def _is_recorded(
    since: datetime,
    kinds: tuple[str, ...],
    email: ColumnElement[str] | None,
    organization_id: ColumnElement[str] | None,
) -> ColumnElement[bool]:
    """Whether an event tells it already: servers of the first schema wrote none."""
    conditions = [event.c.at >= since, event.c.kind.in_(kinds)]
    if email is not None:
        conditions.append(event.c.email == email)
    if organization_id is not None:
        conditions.append(event.c.organization_id == organization_id)
    return exists().where(*conditions)
