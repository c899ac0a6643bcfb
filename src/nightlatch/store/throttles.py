"""What has been counted against accounts and addresses, by the database's clock."""

from typing import Any

from sqlalchemy import Float, bindparam, case, delete, or_, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from nightlatch.model.rate import Rate
from nightlatch.store.columns import database_now, earlier_of, later_of, plus_seconds
from nightlatch.store.connection import Connection
from nightlatch.store.pruning import BATCH_ROWS
from nightlatch.store.tables import throttle


def _seconds(name: str) -> Any:
    return bindparam(name, type_=Float)


def _count(dialect: str, judged: bool) -> Any:
    insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
    statement: Any = insert(throttle).values(
        key=bindparam("of_key", type_=throttle.c.key.type),
        free_at=plus_seconds(database_now(), _seconds("interval")),
    )
    # Rate.bounded: farther ahead only a clock that was set back, or another rate, has left it.
    beyond = throttle.c.free_at > plus_seconds(database_now(), _seconds("ahead_believed_max"))
    counted_from = case((beyond, database_now()), else_=later_of(throttle.c.free_at, database_now()))
    lets_through = or_(throttle.c.free_at <= plus_seconds(database_now(), _seconds("tolerance")), beyond)
    return statement.on_conflict_do_update(
        index_elements=["key"],
        # Never so far that failures at once, through several nodes, would count as none.
        set_={
            "free_at": earlier_of(
                plus_seconds(counted_from, _seconds("interval")),
                plus_seconds(database_now(), _seconds("ahead_max")),
            )
        },
        where=lets_through if judged else None,
    ).returning(throttle.c.free_at, database_now().label("now"))


_JUDGE = {dialect: _count(dialect, judged=True) for dialect in ("sqlite", "postgresql")}
_COUNT = {dialect: _count(dialect, judged=False) for dialect in ("sqlite", "postgresql")}
_OF_KEY = throttle.c.key == bindparam("of_key")
_FIND = select(throttle.c.free_at, database_now().label("now")).where(_OF_KEY)
_GIVE_BACK = (
    update(throttle).where(_OF_KEY).values(free_at=plus_seconds(throttle.c.free_at, -_seconds("interval")))
)
_RESET = delete(throttle).where(_OF_KEY)
_LAZILY = text("SET LOCAL synchronous_commit = off")
_FREE = throttle.c.free_at < database_now()
_FIND_FREE = select(throttle.c.key).where(_FREE).limit(1)
_BATCH = (
    select(throttle.c.key)
    .where(_FREE)
    .order_by(throttle.c.free_at)
    .limit(BATCH_ROWS)
    .with_for_update(skip_locked=True)
)
_PURGE = delete(throttle).where(throttle.c.key.in_(_BATCH)).returning(throttle.c.key)


def _counting(key: bytes, rate: Rate) -> dict[str, object]:
    return {
        "of_key": key,
        "interval": rate.interval,
        "ahead_max": rate.ahead_max,
        "ahead_believed_max": rate.ahead_believed_max,
    }


def _ahead(row: Any) -> float:
    """How many seconds a row's free_at lies ahead of its now; below 0 if it is past."""
    seconds: float = (row.free_at - row.now).total_seconds()
    return seconds


async def commit_lazily(connection: Connection) -> None:
    """Have the transaction's commit wait for no disk and no standby.

    What many attempts from one address count in turn would wait for one another's. A crash of the
    database forgets less than a second of it.
    """
    if connection.dialect.name == "postgresql":
        await connection.execute(_LAZILY)


async def judge(connection: Connection, key: bytes, rate: Rate) -> float:
    """Count one more if the rate allows it: 0; else nothing is counted: the seconds until it does.

    One statement, which locks the key's row to the end of the transaction: however many ask at once, no
    more are let through than the rate says.
    """
    parameters = {**_counting(key, rate), "tolerance": rate.tolerance}
    counted = (await connection.execute(_JUDGE[connection.dialect.name], parameters)).one_or_none()
    if counted is not None:
        return 0.0
    row = (await connection.execute(_FIND, {"of_key": key})).one()
    # So little may be left by now that it would read as let through.
    return max(rate.wait_seconds(_ahead(row)), rate.interval / 1000)


async def count(connection: Connection, key: bytes, rate: Rate) -> float:
    """Count one more, whatever the rate says; how many seconds free_at lies ahead then."""
    counted = await connection.execute(_COUNT[connection.dialect.name], _counting(key, rate))
    return _ahead(counted.one())


async def give_back(connection: Connection, key: bytes, rate: Rate) -> None:
    """Take back what was counted once."""
    await connection.execute(_GIVE_BACK, {"of_key": key, "interval": rate.interval})


async def reset(connection: Connection, key: bytes) -> None:
    """Take back all that was counted."""
    await connection.execute(_RESET, {"of_key": key})


async def has_free(connection: Connection) -> bool:
    """Whether there is a row that says nothing any more."""
    return (await connection.execute(_FIND_FREE)).one_or_none() is not None


async def prune_free(connection: Connection) -> int:
    """Delete a batch of rows that say nothing any more, being past; their number."""
    return len((await connection.execute(_PURGE)).all())
