"""How often tokens were used on each day, in UTC by the database's clock; and what else charts show."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, Final

from sqlalchemy import (
    CTE,
    JSON,
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    String,
    any_,
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
from nightlatch.model.names import TokenId
from nightlatch.model.standing import Identity
from nightlatch.model.usage import DAYS, Usage
from nightlatch.model.use import Use
from nightlatch.store.columns import database_now, day_begin, day_of
from nightlatch.store.connection import Connection
from nightlatch.store.refusals import COUNTED_KINDS
from nightlatch.store.tables import event, token, token_usage

LOGINS_MAX: Final = 10_000
"""Of so many logins a day charts are drawn, at most: a statement on SQLite holds up every request."""
ROWS_MAX: Final = 1_000
"""The same for rows of the audit log that have to be looked at, of each day and kind."""

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
    connection: Connection, identity: Identity, only_own: bool, token_ids: Sequence[TokenId]
) -> Usage:
    """The organization's usage, or the user's own: of the tokens they have, and of their logins.

    One statement, whatever is asked for.
    """
    parameters = {
        "in_organization": identity.organization_id,
        "asked_ids": list(token_ids),
        "logins_max": LOGINS_MAX,
        "rows_max": ROWS_MAX,
    }
    if only_own:
        parameters |= {"of_user": identity.user_id, "of_email": identity.email}
    statement = _READ[connection.dialect.name, only_own]
    rows = (await connection.execute(statement, parameters)).all()
    first = min(row.day for row in rows)  # there is a row for each day
    per_token = {token_id: [0] * DAYS for token_id in token_ids}
    verifications, logins, refusals = ([0] * DAYS for _ in range(3))
    for row in rows:
        place = row.day - first
        verifications[place] += row.uses
        logins[place] += row.logins
        refusals[place] += row.refusals
        if row.token_id is not None:
            per_token[TokenId(row.token_id)][place] = row.uses
    return Usage(
        first_day=_EPOCH + timedelta(days=first),
        per_token={token_id: tuple(days) for token_id, days in per_token.items()},
        verifications=tuple(verifications),
        logins=tuple(logins),
        refusals=tuple(refusals),
    )


def _read(dialect: str, only_own: bool) -> Any:
    # So that all parts are about the same days, also at midnight.
    days = select(
        (day_of(database_now()) - (DAYS - 1)).label("day"), literal(DAYS - 1, Integer).label("more")
    ).cte("days", recursive=True)
    days = days.union_all(select(days.c.day + 1, days.c.more - 1).where(days.c.more > 0))
    logins = _own_logins(days) if only_own else _logins(days)
    # Whose a refused login was, nobody knows.
    refusals = [] if only_own else [_counted(days, kind) for kind in COUNTED_KINDS]
    of_days = _row(null(), days.c.day, literal(0), logins, sum(refusals, start=literal(0)))
    return union_all(of_days, _uses(dialect, days, only_own))


def _row(token_id: Any, day: Any, uses: Any, logins: Any, refusals: Any) -> Select[Any]:
    columns: tuple[ColumnElement[Any], ...] = (
        cast(token_id, String(12)).label("token_id"),
        cast(day, Integer).label("day"),
        cast(uses, BigInteger).label("uses"),
        cast(logins, BigInteger).label("logins"),
        cast(refusals, BigInteger).label("refusals"),
    )
    return select(*columns)


def _uses(dialect: str, days: CTE, only_own: bool) -> Select[Any]:
    """A row for each day and each token that was asked for, and one for all others together."""
    first, today = (select(end(days.c.day)).scalar_subquery() for end in (func.min, func.max))
    chosen = [
        token_usage.c.organization_id == bindparam("in_organization"),
        token_usage.c.day >= first,
        token_usage.c.day <= today,
    ]
    if only_own:
        own = select(token.c.id).where(
            token.c.organization_id == bindparam("in_organization"), token.c.user_id == bindparam("of_user")
        )
        chosen.append(token_usage.c.token_id.in_(own))
    # Not a list of values: the statement would have to be written anew each time.
    asked = (
        token_usage.c.token_id.in_(
            select(func.json_each(bindparam("asked_ids", type_=JSON)).table_valued("value").c.value)
        )
        if dialect == "sqlite"
        else token_usage.c.token_id == any_(bindparam("asked_ids", type_=postgresql.ARRAY(String(12))))
    )
    used = (
        select(case((asked, token_usage.c.token_id)).label("token_id"), token_usage.c.day, token_usage.c.uses)
        .where(*chosen)
        .subquery()
    )
    none = literal(0)
    return _row(used.c.token_id, used.c.day, func.sum(used.c.uses), none, none).group_by(
        used.c.token_id, used.c.day
    )


def _logins(days: CTE) -> Any:
    # Like ones are never counted together, so that the index alone tells their number.
    found = _newest(days, event.c.at, event.c.kind == EventKind.LOGIN, "logins_max")
    return select(func.count()).select_from(found).scalar_subquery()


def _own_logins(days: CTE) -> Any:
    found = _newest(days, event.c.kind, event.c.email == bindparam("of_email"), "rows_max")
    return select(func.count()).where(found.c.kind == EventKind.LOGIN).scalar_subquery()


def _counted(days: CTE, kind: EventKind) -> Any:
    found = _newest(days, event.c["count"].label("number"), event.c.kind == kind, "rows_max")
    return select(func.coalesce(func.sum(found.c.number), 0)).scalar_subquery()


def _newest(days: CTE, column: Any, condition: ColumnElement[bool], most: str) -> Any:
    """A column of the organization's newest events of each day."""
    return (
        select(column)
        .where(
            event.c.organization_id == bindparam("in_organization"),
            condition,
            event.c.at >= day_begin(days.c.day),
            event.c.at < day_begin(days.c.day + 1),
        )
        .order_by(event.c.at.desc())
        .limit(bindparam(most, type_=Integer))
        .correlate(days)
        .subquery()
    )


_READ = {
    (dialect, only_own): _read(dialect, only_own)
    for dialect in ("sqlite", "postgresql")
    for only_own in (False, True)
}
