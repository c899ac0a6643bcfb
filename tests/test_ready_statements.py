"""A statement that the driver itself runs, since it comes again, does what it did the first time."""

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Executable, bindparam, insert, select, text
from sqlalchemy.dialects import registry
from sqlalchemy.exc import IntegrityError

from nightlatch import store
from nightlatch.model.errors import StoreUnavailable
from nightlatch.store.columns import database_now
from nightlatch.store.statement import Statement
from nightlatch.store.tables import user
from tests.accounts import Accounts

pytestmark = pytest.mark.every_release

DIALECTS = {"sqlite": registry.load("sqlite")(), "postgresql": registry.load("postgresql.asyncpg")()}
TIMES = 3
"""The second time it is made ready, the third it is."""


def constants() -> Iterator[tuple[str, str | None, Executable]]:
    """The statements that the store's modules hold: where, for which dialect if for one, and which."""
    for found in pkgutil.iter_modules(store.__path__, f"{store.__name__}."):
        if found.ispkg:
            continue
        module = importlib.import_module(found.name)
        for name, value in vars(module).items():
            place = f"{found.name.rpartition('.')[2]}.{name}"
            if isinstance(value, Executable):
                yield place, None, value
            for key, each in value.items() if isinstance(value, dict) else ():
                if isinstance(each, Executable):
                    parts = key if isinstance(key, tuple) else (key,)
                    yield f"{place}[{key}]", next((part for part in parts if part in DIALECTS), None), each


CONSTANTS = {place: (dialect, statement) for place, dialect, statement in constants()}


@pytest.mark.parametrize("place", CONSTANTS)
def test_every_statement_that_the_store_holds_can_be_made_ready(place: str) -> None:
    only, statement = CONSTANTS[place]
    for name, dialect in DIALECTS.items():
        if only in (None, name):
            assert Statement(statement, dialect).text


def each_time(accounts: Accounts, statement: Any, parameters: dict[str, Any] | None = None) -> list[Any]:
    """What the statement returns, the first time and later."""

    async def run() -> list[Any]:
        async with accounts.services.store.read() as connection:
            return [
                [(row._fields, tuple(row)) for row in await connection.execute(statement, parameters)]
                for _ in range(TIMES)
            ]

    return accounts.run(run())


def test_a_statement_returns_the_same_each_time(accounts: Accounts) -> None:
    person = accounts.add_person()
    named = select(user).where(user.c.email == bindparam("email"))
    first, *later = each_time(accounts, named, {"email": person.username})
    assert first
    assert later == [first] * (TIMES - 1)
    written = text('SELECT email AS name, id FROM "user" WHERE email = :email')
    first, *later = each_time(accounts, written, {"email": person.username})
    assert [fields for fields, _ in first] == [("name", "id")]
    assert later == [first] * (TIMES - 1)


def test_a_statement_that_is_refused_is_refused_alike_each_time_and_tells_none_of_its_values(
    accounts: Accounts,
) -> None:
    email = accounts.add_person().username
    again = insert(user).values(email=bindparam("of_email"), password_hash="canary", created=database_now())

    async def run(statement: Any, parameters: dict[str, Any]) -> None:
        async with accounts.services.store.write() as connection:
            await connection.execute(statement, parameters)

    for _ in range(TIMES):
        with pytest.raises(IntegrityError) as refused:
            accounts.run(run(again, {"of_email": email}))
        assert "canary" not in str(refused.value)
    nowhere = text("SELECT * FROM nowhere WHERE name = :name")
    for _ in range(TIMES):
        with pytest.raises(StoreUnavailable) as unavailable:
            accounts.run(run(nowhere, {"name": "canary"}))
        assert "canary" not in f"{unavailable.value!r} {unavailable.value.detail}"
