"""Child tokens in the database: what it refuses, ends and records of them, raw SQL included."""

import asyncio
import secrets
import sqlite3
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from nightlatch.model.errors import TokenRejected
from tests.accounts import Accounts, Person
from tests.test_database_limits import changed_since, head, later, now, user_id

pytestmark = pytest.mark.every_release


@pytest.fixture
def person(accounts: Accounts) -> Person:
    made = accounts.add_person()
    accounts.sql(
        "UPDATE organization SET child_token_limit = 5 WHERE id = :id", id=made.organization_id
    )  # fmt: skip
    return made


def soon(accounts: Accounts, minutes: int = 10) -> str:
    if accounts.engines.sqlite_file is not None:
        return f"(CAST(strftime('%s', 'now') AS INTEGER) + {minutes * 60}) * 1000000"
    return f"now() + interval '{minutes} minutes'"


def insert_child(accounts: Accounts, parent: str, expiry: str | None = None) -> str:
    """A child token by raw SQL; its id."""
    child_id = secrets.token_hex(6)
    accounts.sql(
        "INSERT INTO child_token (id, digest, parent_id, created, expiry, methods, paths) "
        f"VALUES (:id, :digest, :parent, {now(accounts)}, {expiry or soon(accounts)}, 'GET', '/')",
        id=child_id,
        digest=secrets.token_bytes(32),
        parent=parent[4:16],
    )
    return child_id


def children(accounts: Accounts, parent: str) -> dict[str, bytes]:
    rows = accounts.sql("SELECT id, digest FROM child_token WHERE parent_id = :id", id=parent[4:16])
    return {row[0]: bytes(row[1]) for row in rows}


def test_raw_sql_inserts_no_child_beyond_the_organizations_limit(accounts: Accounts, person: Person) -> None:
    parents = [accounts.log_in(person) for _ in range(2)]
    for index in range(5):
        insert_child(accounts, parents[index % 2])
    for parent in parents:
        with pytest.raises(IntegrityError, match="child_token_limit_reached"):
            insert_child(accounts, parent)
    other = accounts.add_person()
    insert_child(accounts, accounts.log_in(other))


def test_an_expired_child_takes_no_place_and_cannot_be_revived_beyond_the_limit(
    accounts: Accounts, person: Person
) -> None:
    parent = accounts.log_in(person)
    expired = insert_child(accounts, parent, accounts.an_hour_ago)
    for _ in range(5):
        insert_child(accounts, parent)
    revive = f"UPDATE child_token SET expiry = {soon(accounts)} WHERE id = :id"
    with pytest.raises(IntegrityError, match="child_token_limit_reached"):
        accounts.sql(revive, id=expired)
    accounts.sql(
        "DELETE FROM child_token WHERE id <> :id AND parent_id = :parent", id=expired, parent=parent[4:16]
    )
    accounts.sql(revive, id=expired)


def test_children_use_up_no_place_of_tokens(accounts: Accounts, person: Person) -> None:
    parent = accounts.log_in(person)
    for _ in range(5):
        insert_child(accounts, parent)
    for _ in range(19):
        accounts.log_in(person)
    assert accounts.live_tokens(person.organization_id) == 20


def test_no_child_outlives_its_parent(accounts: Accounts, person: Person) -> None:
    parent = accounts.log_in(person)
    accounts.set_expiry(parent, 300)
    with pytest.raises(IntegrityError, match="child_token_within_parent"):
        insert_child(accounts, parent)
    child = insert_child(accounts, parent, soon(accounts, 4))
    with pytest.raises(IntegrityError, match="child_token_within_parent"):
        accounts.sql(f"UPDATE child_token SET expiry = {soon(accounts)} WHERE id = :id", id=child)
    before = head(accounts)
    accounts.set_expiry(parent, 60)
    assert set(changed_since(accounts, before)) >= set(children(accounts, parent).values())
    expiries = accounts.sql(
        "SELECT child_token.expiry, token.expiry FROM child_token JOIN token ON token.id = parent_id "
        "WHERE child_token.id = :id",
        id=child,
    )
    assert expiries[0][0] == expiries[0][1]
    accounts.set_expiry(parent, 3600)  # a longer life of the parent's is none of the child's
    assert accounts.sql("SELECT expiry FROM child_token WHERE id = :id", id=child)[0][0] == expiries[0][0]


def test_a_child_needs_a_parent(accounts: Accounts, person: Person) -> None:
    with pytest.raises(IntegrityError):
        insert_child(accounts, "nlt_000000000000_")


WRITES: dict[str, tuple[str, bool, bool]] = {
    "an ended parent": ("DELETE FROM token WHERE {tokens}", True, True),
    "an ended child": ("DELETE FROM child_token WHERE {children}", True, True),
    "a shorter life of the parent": ("UPDATE token SET expiry = {now} WHERE {tokens}", True, False),
    "a shorter life of the child": ("UPDATE child_token SET expiry = {now} WHERE {children}", True, False),
    "other paths": ("UPDATE child_token SET paths = '/b' WHERE {children}", True, False),
    "another holder": (
        "UPDATE token SET organization_id = '{other}' WHERE {tokens}", True, True,
    ),
    "a changed role": (
        "UPDATE membership SET role = 'member' WHERE organization_id = '{organization}'", True, False,
    ),
    "a removed membership": ("DELETE FROM membership WHERE organization_id = '{organization}'", True, True),
    "a disabled user": ('UPDATE "user" SET disabled = {now} WHERE id = {user}', True, False),
    "a changed e-mail address": ("UPDATE \"user\" SET email = email || 'x' WHERE id = {user}", True, False),
    "a deleted user": ('DELETE FROM "user" WHERE id = {user}', True, True),
    "a closed organization": (
        "UPDATE organization SET closed = {now} WHERE id = '{organization}'", True, False,
    ),
    "a deleted organization": ("DELETE FROM organization WHERE id = '{organization}'", True, True),
    "a renamed organization": (
        "UPDATE organization SET name = 'B' WHERE id = '{organization}'", False, False,
    ),
    "a longer life of the parent": ("UPDATE token SET expiry = {later} WHERE {tokens}", False, False),
}  # fmt: skip


@pytest.mark.parametrize("foreign_keys", [True, False], ids=["", "shell without foreign keys"])
@pytest.mark.parametrize("write", WRITES)
def test_raw_sql_that_changes_a_childs_standing_is_in_the_change_feed(
    write: str, foreign_keys: bool, accounts: Accounts, person: Person
) -> None:
    is_sqlite = accounts.engines.sqlite_file is not None
    if not is_sqlite and not foreign_keys:
        return  # PostgreSQL has no such switch
    other = accounts.join(person, accounts.add_person().organization_id)
    parents = [accounts.log_in(person) for _ in range(2)]
    for parent in parents:
        for _ in range(2):
            insert_child(accounts, parent)
    of_others = accounts.log_in(accounts.add_person())
    insert_child(accounts, of_others)
    ids = ", ".join(f"'{parent[4:16]}'" for parent in parents)
    touched = {digest for parent in parents for digest in children(accounts, parent).values()}
    statement, is_recorded, ends = WRITES[write]
    filled = statement.format(
        tokens=f"id IN ({ids})",
        children=f"parent_id IN ({ids})",
        organization=person.organization_id,
        other=other.organization_id,
        user=user_id(accounts, person),
        now=now(accounts),
        later=later(accounts),
    )
    before = head(accounts)
    if is_sqlite:
        connection = sqlite3.connect(str(accounts.engines.sqlite_file))
        connection.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")
        with connection:
            connection.execute(filled)
        connection.close()
    else:
        accounts.sql(filled)
    changed = set(changed_since(accounts, before))
    assert changed & touched == (touched if is_recorded else set())
    assert not changed & set(children(accounts, of_others).values())
    assert sum(len(children(accounts, parent)) for parent in parents) == (0 if ends else 4)


def test_truncating_children_clears_everything(accounts: Accounts, person: Person) -> None:
    if accounts.engines.sqlite_file is not None:
        return  # SQLite has no TRUNCATE
    insert_child(accounts, accounts.log_in(person))
    before = head(accounts)
    accounts.sql("TRUNCATE child_token")
    assert changed_since(accounts, before) == [None]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE child_token SET id = 'abcdefghijkl'",
        "UPDATE child_token SET digest = CAST('x' AS {bytes})",
        "UPDATE child_token SET parent_id = '{other}'",
    ],
)
def test_a_childs_keys_stay(change: str, accounts: Accounts, person: Person) -> None:
    parent, other = accounts.log_in(person), accounts.log_in(person)
    child = insert_child(accounts, parent)
    kind = "BLOB" if accounts.engines.sqlite_file is not None else "bytea"
    with pytest.raises(IntegrityError):
        accounts.sql(f"{change.format(other=other[4:16], bytes=kind)} WHERE id = :id", id=child)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_replace_cannot_get_around_the_triggers_of_children(accounts: Accounts, person: Person) -> None:
    child = insert_child(accounts, accounts.log_in(person))
    with pytest.raises(IntegrityError):
        accounts.sql("INSERT OR REPLACE INTO child_token SELECT * FROM child_token WHERE id = :id", id=child)
    with pytest.raises(IntegrityError):
        accounts.sql("UPDATE child_token SET expiry = datetime('now') WHERE id = :id", id=child)


@pytest.mark.parametrize("level", ["read_committed", "repeatable_read", "serializable"])
def test_no_isolation_level_lets_two_children_take_one_place(
    level: str, accounts: Accounts, person: Person
) -> None:
    if accounts.engines.sqlite_file is not None:
        return  # there is one writer at a time
    parents = [accounts.log_in(person) for _ in range(2)]
    for _ in range(4):
        insert_child(accounts, parents[0])

    async def race() -> list[BaseException | None]:
        both_begun = asyncio.Barrier(2)

        async def take(parent: str) -> None:
            connection = await accounts.engines.connect()
            try:
                async with connection.transaction(isolation=level):
                    await connection.fetch("SELECT count(*) FROM child_token")
                    await both_begun.wait()
                    await connection.execute(
                        "INSERT INTO child_token (id, digest, parent_id, created, expiry, methods, paths) "
                        "VALUES ($1, $2, $3, now(), now() + interval '5 minutes', 'GET', '/')",
                        secrets.token_hex(6),
                        secrets.token_bytes(32),
                        parent[4:16],
                    )
            finally:
                await connection.close()

        return await asyncio.gather(*(take(parent) for parent in parents), return_exceptions=True)

    assert [type(result) for result in accounts.run(race())].count(type(None)) == 1
    assert sum(len(children(accounts, parent)) for parent in parents) == 5


@pytest.mark.parametrize("write", ["DELETE FROM token", "UPDATE token SET expiry = now()"])
@pytest.mark.parametrize("level", ["read_committed", "repeatable_read", "serializable"])
def test_a_child_made_while_its_parent_ends_is_not_overlooked(
    write: str, level: str, accounts: Accounts, person: Person
) -> None:
    if accounts.engines.sqlite_file is not None:
        return  # there is one writer at a time
    parent = accounts.log_in(person)

    async def end_by_an_old_snapshot() -> Any:
        connection = await accounts.engines.connect()
        try:
            async with connection.transaction(isolation=level):
                await connection.fetch("SELECT * FROM child_token")
                await asyncio.to_thread(insert_child, accounts, parent)
                await connection.execute(f"{write} WHERE id = $1", parent[4:16])
        finally:
            await connection.close()

    async def outcome() -> Any:
        return (await asyncio.gather(end_by_an_old_snapshot(), return_exceptions=True))[0]

    failed = asyncio.run(outcome())
    live = accounts.sql(
        "SELECT count(*) FROM child_token WHERE expiry > now() AND parent_id = :id", id=parent[4:16]
    )
    assert live[0][0] == (0 if failed is None else 1), failed


@pytest.mark.parametrize(
    "write",
    [
        'UPDATE "user" SET disabled = now() WHERE id = $1',
        "UPDATE \"user\" SET email = email || 'x' WHERE id = $1",
        "UPDATE membership SET role = 'member' WHERE user_id = $1",
        "DELETE FROM membership WHERE user_id = $1",
    ],
)
def test_h29_a_child_made_while_raw_sql_changes_its_holder_is_not_overlooked(
    write: str, accounts: Accounts, person: Person
) -> None:
    if accounts.engines.sqlite_file is not None:
        return  # there is one writer at a time
    parent = accounts.log_in(person)
    holder = user_id(accounts, person)

    async def make_meanwhile() -> tuple[bool, str | BaseException]:
        connection = await accounts.engines.connect()
        try:
            change = connection.transaction()
            await change.start()
            await connection.execute(write, holder)
            # As COMMIT begins: from here on, what the change names is written down.
            await connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
            making = asyncio.create_task(asyncio.to_thread(accounts.issue_child, parent, ["GET"], ["/"]))
            await asyncio.wait([making], timeout=0.5)
            was_made = making.done()
            await change.commit()
            return was_made, (await asyncio.gather(making, return_exceptions=True))[0]
        finally:
            await connection.close()

    was_made, made = asyncio.run(make_meanwhile())
    assert not was_made, "a child was made, which the change knows nothing of"
    if "email" in write or "role" in write:
        assert isinstance(made, str)
    else:
        assert isinstance(made, TokenRejected)
