"""How often tokens were used on each day, in UTC by the database's clock; and what else charts show."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, Final

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    String,
    bindparam,
    case,
    cast,
    func,
    literal,
    null,
    select,
    union_all,
)
from sqlalchemy.dialects import postgresql, sqlite

from nightlatch.model.event import EventKind
from nightlatch.model.names import OrganizationId, TokenId, UserId
from nightlatch.model.usage import DAYS, Usage
from nightlatch.model.use import Use
from nightlatch.store.columns import database_now, day_begin, day_of
from nightlatch.store.connection import Connection
from nightlatch.store.refusals import COUNTED_KINDS
from nightlatch.store.tables import event, token, token_usage

EVENTS_MAX: Final = 20_000
"""Of so many events of one kind, the newest, charts are drawn: somebody may have caused millions."""

_EPOCH: Final = date(1970, 1, 1)
_DAY_SECONDS: Final = 86_400


def _add(dialect: str) -> Any:
    insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
    # Without a lock on the token: nothing refers to it, so that it may end meanwhile.
    source = select(
        token.c.organization_id,
        bindparam("on_day", type_=Integer),
        token.c.id,
        bindparam("more", type_=BigInteger),
    ).where(token.c.digest == bindparam("of_token"))
    statement: Any = insert(token_usage).from_select(["organization_id", "day", "token_id", "uses"], source)
    return statement.on_conflict_do_update(
        index_elements=["organization_id", "day", "token_id"],
        set_={"uses": token_usage.c.uses + statement.excluded.uses},
    )


_ADD = {dialect: _add(dialect) for dialect in ("sqlite", "postgresql")}


async def add_usage(connection: Connection, uses: Sequence[Use]) -> None:
    """Add the uses to those of the day of each one's last; a token that is gone is passed over.

    The rows are locked in the order of the tokens' digests, whoever flushes: nobody waits in a circle.
    """
    parameters = [
        {"of_token": use.digest, "on_day": int(use.seconds // _DAY_SECONDS), "more": use.count}
        for use in sorted(uses, key=lambda use: use.digest)
    ]
    await connection.execute(_ADD[connection.dialect.name], parameters)


async def read_usage(
    connection: Connection,
    organization_id: OrganizationId,
    user_id: UserId | None,
    token_ids: Sequence[TokenId],
) -> Usage:
    """The organization's usage, or that of one user in it: of the tokens they have, and of their logins.

    One statement, whatever is asked for.
    """
    rows = (await connection.execute(_query(organization_id, user_id, token_ids))).all()
    today = next(row.day for row in rows if row.what == "today")
    numbers = {what: [0] * DAYS for what in ("uses", "logins", "refusals")}
    per_token = {token_id: [0] * DAYS for token_id in token_ids}
    for row in rows:
        place = row.day - (today - DAYS + 1)
        if row.what in numbers:
            numbers[row.what][place] += row.number
        if row.token_id is not None:
            per_token[TokenId(row.token_id)][place] += row.number
    return Usage(
        first_day=_EPOCH + timedelta(days=today - DAYS + 1),
        per_token={token_id: tuple(days) for token_id, days in per_token.items()},
        verifications=tuple(numbers["uses"]),
        logins=tuple(numbers["logins"]),
        refusals=tuple(numbers["refusals"]),
    )


def _query(organization_id: OrganizationId, user_id: UserId | None, token_ids: Sequence[TokenId]) -> Any:
    # So that all parts are about the same days, also at midnight.
    clock = select(day_of(database_now()).label("today")).cte("clock")
    parts = [
        _row("today", null(), clock.c.today, literal(0)),
        _uses(clock, organization_id, user_id, token_ids),
        _events(clock, "logins", organization_id, EventKind.LOGIN, user_id),
    ]
    if user_id is None:  # whose a refused login was, nobody knows
        parts += [_events(clock, "refusals", organization_id, kind, None) for kind in COUNTED_KINDS]
    return union_all(*parts)


def _row(what: str, token_id: Any, day: Any, number: Any) -> Select[Any]:
    columns: tuple[ColumnElement[Any], ...] = (
        literal(what, String).label("what"),
        cast(token_id, String(12)).label("token_id"),
        cast(day, Integer).label("day"),
        cast(number, BigInteger).label("number"),
    )
    return select(*columns)


def _uses(
    clock: CTE, organization_id: OrganizationId, user_id: UserId | None, token_ids: Sequence[TokenId]
) -> Select[Any]:
    """A row for each day and each of those tokens, and one for all others together."""
    today = select(clock.c.today).scalar_subquery()
    chosen = [
        token_usage.c.organization_id == organization_id,
        token_usage.c.day > today - DAYS,
        token_usage.c.day <= today,
    ]
    if user_id is not None:
        own = select(token.c.id).where(token.c.organization_id == organization_id, token.c.user_id == user_id)
        chosen.append(token_usage.c.token_id.in_(own))
    asked = case((token_usage.c.token_id.in_(token_ids), token_usage.c.token_id))
    used = select(asked.label("token_id"), token_usage.c.day, token_usage.c.uses).where(*chosen).subquery()
    return _row("uses", used.c.token_id, used.c.day, func.sum(used.c.uses)).group_by(
        used.c.token_id, used.c.day
    )


def _events(
    clock: CTE, what: str, organization_id: OrganizationId, kind: EventKind, user_id: UserId | None
) -> Select[Any]:
    today = select(clock.c.today).scalar_subquery()
    newest = (
        select(event.c.user_id, day_of(event.c.at).label("day"), event.c["count"].label("number"))
        .where(
            event.c.organization_id == organization_id,
            event.c.kind == kind,
            event.c.at >= day_begin(today - DAYS + 1),
            event.c.at < day_begin(today + 1),
        )
        .order_by(event.c.at.desc())
        .limit(EVENTS_MAX)
        .subquery()
    )
    counted = _row(what, null(), newest.c.day, func.sum(newest.c.number)).group_by(newest.c.day)
    return counted if user_id is None else counted.where(newest.c.user_id == user_id)
