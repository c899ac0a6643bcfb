"""What is remembered of rates that are used up, and by what others know that it is remembered."""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Float, bindparam, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from nightlatch.model.attempt import Attempt, announcement_key
from nightlatch.store.columns import database_now, joined_lines, later_of, plus_seconds
from nightlatch.store.connection import Connection
from nightlatch.store.tables import known_address, throttle, user


@dataclass(frozen=True, slots=True)
class SeenRate:
    """How many seconds a rate's free_at lies ahead, and the networks that it does not hold up.

    `announced`: for how many seconds it is announced that the rate may be remembered.
    """

    ahead: float
    announced: float
    known: frozenset[str]


def _announce(dialect: str) -> Any:
    insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
    statement: Any = insert(throttle).values(
        key=bindparam("of_key", type_=throttle.c.key.type),
        free_at=plus_seconds(database_now(), bindparam("seconds", type_=Float)),
    )
    return statement.on_conflict_do_update(
        index_elements=["key"], set_={"free_at": later_of(throttle.c.free_at, statement.excluded.free_at)}
    )


_ANNOUNCE: Final = {dialect: _announce(dialect) for dialect in ("sqlite", "postgresql")}
_ANNOUNCED: Final = select(throttle.c.key).where(
    or_(throttle.c.key == bindparam("account"), throttle.c.key == bindparam("address")),
    throttle.c.free_at > database_now(),
)
_MOMENTS: Final = (
    database_now().label("now"),
    *(
        select(throttle.c.free_at).where(throttle.c.key == bindparam(key)).scalar_subquery().label(key)
        for key in ("rate", "announcement")
    ),
)
_KNOWN_TO_ACCOUNT: Final = (
    select(joined_lines(known_address.c.address))
    .select_from(known_address.join(user, user.c.id == known_address.c.user_id))
    .where(
        user.c.email == bindparam("email"), known_address.c.organization_id == bindparam("organization_id")
    )
    .scalar_subquery()
    .label("known")
)
_KNOWN_TO_ANYBODY: Final = (
    select(known_address.c.address)
    .where(known_address.c.address == bindparam("from_address"))
    .limit(1)
    .scalar_subquery()
    .label("known")
)
_ACCOUNT: Final = select(*_MOMENTS, _KNOWN_TO_ACCOUNT)
_ADDRESS: Final = select(*_MOMENTS, _KNOWN_TO_ANYBODY)


async def announce(connection: Connection, key: bytes, seconds: float) -> None:
    """From the commit on, for so many seconds, everybody can see that the key's rate may be remembered.

    It stands among the rates, as one that is free again then: so it is deleted with them.
    """
    parameters = {"of_key": announcement_key(key), "seconds": seconds}
    await connection.execute(_ANNOUNCE[connection.dialect.name], parameters)


async def is_announced(connection: Connection, attempt: Attempt) -> bool:
    """Whether anybody may remember that the rate of the attempt's account or address is used up."""
    account, address = attempt.announcements
    return (
        await connection.execute(_ANNOUNCED, {"account": account, "address": address})
    ).first() is not None


async def see_account(connection: Connection, attempt: Attempt) -> SeenRate:
    """The rate of the attempt's account; addresses that are known to the account are not held up by it."""
    parameters = {
        "rate": attempt.account,
        "announcement": announcement_key(attempt.account),
        "email": attempt.email,
        "organization_id": attempt.organization_id,
    }
    return _seen((await connection.execute(_ACCOUNT, parameters)).one())


async def see_address(connection: Connection, attempt: Attempt) -> SeenRate:
    """The rate of the attempt's address; if it is known to any account, it is not held up by it there."""
    parameters = {
        "rate": attempt.address,
        "announcement": announcement_key(attempt.address),
        "from_address": attempt.network,
    }
    return _seen((await connection.execute(_ADDRESS, parameters)).one())


def _seen(row: Any) -> SeenRate:
    ahead, announced = (
        0.0 if moment is None else (moment - row.now).total_seconds()
        for moment in (row.rate, row.announcement)
    )
    return SeenRate(ahead, announced, frozenset() if row.known is None else frozenset(row.known.split("\n")))
