"""What the database itself refuses and records, raw SQL included."""

import asyncio
import hashlib
import secrets
import time
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from nightlatch.model.errors import StoreUnavailable, TokenLimitReached
from nightlatch.model.names import OrganizationId, Role
from nightlatch.model.origin import Origin
from nightlatch.model.use import Use
from nightlatch.usecases.log_in import Login, log_in
from nightlatch.usecases.revoke_tokens import show_tokens
from nightlatch.usecases.update_organization import OrganizationChange, update_organization
from tests.accounts import Accounts, Person
from tests.conftest import Database

pytestmark = pytest.mark.every_release

LONG = 2**50  # microseconds: decades from now


@pytest.fixture
def person(accounts: Accounts) -> Person:
    return accounts.add_person()


def later(accounts: Accounts) -> str:
    if accounts.engines.sqlite_file is not None:
        return f"CAST(strftime('%s', 'now') AS INTEGER) * 1000000 + {LONG}"
    return "now() + interval '30 years'"


def now(accounts: Accounts) -> str:
    return (
        "CAST(strftime('%s', 'now') AS INTEGER) * 1000000"
        if accounts.engines.sqlite_file is not None
        else "now()"
    )


def user_id(accounts: Accounts, person: Person) -> int:
    return int(accounts.sql('SELECT id FROM "user" WHERE email = :email', email=person.username)[0][0])


def insert(accounts: Accounts, person: Person, expiry: str) -> None:
    """A token by raw SQL, as if there were no Nightlatch."""
    accounts.sql(
        "INSERT INTO token (id, digest, organization_id, user_id, created, expiry) "
        f"VALUES (:id, :digest, :organization, :user, {now(accounts)}, {expiry})",
        id=secrets.token_hex(6),
        digest=secrets.token_bytes(32),
        organization=person.organization_id,
        user=user_id(accounts, person),
    )


@pytest.mark.parametrize("expiry", ["NULL", "later"])
def test_raw_sql_inserts_no_token_beyond_the_limit(expiry: str, accounts: Accounts, person: Person) -> None:
    moment = later(accounts) if expiry == "later" else expiry
    for _ in range(20):
        insert(accounts, person, moment)
    with pytest.raises(IntegrityError, match="token_limit_reached"):
        insert(accounts, person, moment)
    assert accounts.live_tokens(person.organization_id) == 20


def test_an_expired_token_takes_no_place_and_cannot_be_revived_beyond_the_limit(
    accounts: Accounts, person: Person
) -> None:
    for _ in range(20):
        insert(accounts, person, "NULL")
    insert(accounts, person, accounts.an_hour_ago)
    with pytest.raises(IntegrityError, match="token_limit_reached"):
        accounts.sql(
            f"UPDATE token SET expiry = {later(accounts)} "
            f"WHERE organization_id = :id AND expiry < {now(accounts)}",
            id=person.organization_id,
        )
    with pytest.raises(IntegrityError, match="token_limit_reached"):
        accounts.sql("UPDATE token SET expiry = NULL WHERE organization_id = :id", id=person.organization_id)
    assert accounts.live_tokens(person.organization_id) == 20


def test_a_token_moved_to_a_full_organization_is_refused(accounts: Accounts, person: Person) -> None:
    full = accounts.join(person, accounts.add_person(token_limit=0).organization_id)
    insert(accounts, person, "NULL")
    with pytest.raises(IntegrityError, match="token_limit_reached"):
        accounts.sql(
            "UPDATE token SET organization_id = :full WHERE organization_id = :id",
            full=full.organization_id,
            id=person.organization_id,
        )


def test_one_statement_that_inserts_many_stops_at_the_limit(accounts: Accounts, person: Person) -> None:
    series = (
        "WITH RECURSIVE series(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < 21) "
        "INSERT INTO token (id, digest, organization_id, user_id, created) "
        f"SELECT :prefix || n, {{digest}}, :organization, :user, {now(accounts)} FROM series"
    )
    digest = "CAST(:prefix || n AS BLOB)" if accounts.engines.sqlite_file else "(:prefix || n)::bytea"
    with pytest.raises(IntegrityError, match="token_limit_reached"):
        accounts.sql(
            series.format(digest=digest),
            prefix=secrets.token_hex(4),
            organization=person.organization_id,
            user=user_id(accounts, person),
        )
    assert accounts.live_tokens(person.organization_id) == 0


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_no_isolation_level_lets_two_transactions_take_one_place(
    level: str, accounts: Accounts, person: Person
) -> None:
    if accounts.engines.sqlite_file is not None:
        return  # there is one writer at a time
    for _ in range(19):
        insert(accounts, person, "NULL")
    owner = user_id(accounts, person)

    async def race() -> tuple[BaseException | None, ...]:
        both_begun = asyncio.Barrier(2)

        async def take() -> None:
            connection = await accounts.engines.connect()
            try:
                async with connection.transaction(isolation=level.lower().replace(" ", "_")):
                    await connection.fetch("SELECT count(*) FROM token")
                    await both_begun.wait()
                    await connection.execute(
                        "INSERT INTO token (id, digest, organization_id, user_id, created) "
                        "VALUES ($1, $2, $3, $4, now())",
                        secrets.token_hex(6),
                        secrets.token_bytes(32),
                        person.organization_id,
                        owner,
                    )
            finally:
                await connection.close()

        return await asyncio.gather(take(), take(), return_exceptions=True)

    results = accounts.run(race())
    assert [type(result) for result in results].count(type(None)) == 1
    assert any(isinstance(result, asyncpg.PostgresError) for result in results)
    assert accounts.live_tokens(person.organization_id) == 20


def test_a_limit_below_what_is_live_ends_nothing_and_admits_nothing(
    accounts: Accounts, person: Person
) -> None:
    for _ in range(5):
        accounts.log_in(person)
    organization_id = OrganizationId(person.organization_id)
    accounts.do(update_organization, organization_id, OrganizationChange(token_limit=3))
    assert accounts.live_tokens(person.organization_id) == 5
    with pytest.raises(TokenLimitReached):
        accounts.do(log_in, Login(person.credentials, "", None, Origin()))
    with pytest.raises(IntegrityError, match="token_limit_reached"):
        insert(accounts, person, "NULL")
    # A token that is live already may be given another expiry: nothing is gained.
    accounts.sql(
        f"UPDATE token SET expiry = {later(accounts)} WHERE organization_id = :id", id=person.organization_id
    )
    assert accounts.live_tokens(person.organization_id) == 5


def digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def head(accounts: Accounts) -> int:
    return int(accounts.sql("SELECT number FROM change_counter")[0][0])


def changed_since(accounts: Accounts, number: int) -> list[Any]:
    rows = accounts.sql(
        "SELECT number, digest FROM change WHERE number > :number ORDER BY number", number=number
    )
    assert [row[0] for row in rows] == list(range(number + 1, head(accounts) + 1)), "numbers have a gap"
    return [row[1] for row in rows]


def digests(accounts: Accounts, condition: str) -> set[bytes]:
    return {row[0] for row in accounts.sql(f"SELECT digest FROM token WHERE {condition}")}


WRITES: dict[str, tuple[str, bool]] = {
    "a deleted token": ("DELETE FROM token WHERE {tokens}", True),
    "a moved expiry": ("UPDATE token SET expiry = {later} WHERE {tokens}", True),
    "a changed role": (
        "UPDATE membership SET role = 'member' WHERE organization_id = '{organization}'",
        True,
    ),
    "a removed membership": ("DELETE FROM membership WHERE organization_id = '{organization}'", True),
    "a disabled user": ('UPDATE "user" SET disabled = {now} WHERE id = {user}', True),
    "a changed e-mail address": ("UPDATE \"user\" SET email = email || 'x' WHERE id = {user}", True),
    "a deleted user": ('DELETE FROM "user" WHERE id = {user}', True),
    "a closed organization": ("UPDATE organization SET closed = {now} WHERE id = '{organization}'", True),
    "a deleted organization": ("DELETE FROM organization WHERE id = '{organization}'", True),
    "a renamed organization": ("UPDATE organization SET name = 'B' WHERE id = '{organization}'", False),
    "a new password": ('UPDATE "user" SET password_version = 9 WHERE id = {user}', False),
    "a renamed token": ("UPDATE token SET name = 'x' WHERE {tokens}", False),
}


@pytest.mark.parametrize("foreign_keys", [True, False], ids=["", "shell without foreign keys"])
@pytest.mark.parametrize("write", WRITES)
def test_raw_sql_that_changes_standing_is_in_the_change_feed(
    write: str, foreign_keys: bool, accounts: Accounts, person: Person
) -> None:
    sqlite = accounts.engines.sqlite_file is not None
    if not sqlite and not foreign_keys:
        return  # PostgreSQL has no such switch
    for _ in range(3):
        accounts.log_in(person)
    tokens = f"organization_id = '{person.organization_id}'"
    touched = digests(accounts, tokens)
    statement, recorded = WRITES[write]
    filled = statement.format(
        tokens=tokens,
        organization=person.organization_id,
        user=user_id(accounts, person),
        now=now(accounts),
        later=later(accounts),
    )
    before = head(accounts)
    if sqlite:
        _in_a_shell(accounts, filled, foreign_keys)
    else:
        accounts.sql(filled)
    assert set(changed_since(accounts, before)) == (touched if recorded else set())
    if "deleted" in write or "removed" in write:
        assert digests(accounts, tokens) == set()


def _in_a_shell(accounts: Accounts, statement: str, foreign_keys: bool) -> None:
    import sqlite3

    connection = sqlite3.connect(str(accounts.engines.sqlite_file))
    connection.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")
    with connection:
        connection.execute(statement)
    connection.close()


def test_a_login_and_a_flush_write_no_change(accounts: Accounts, person: Person) -> None:
    from nightlatch.usecases.flush_uses import flush_uses

    before = head(accounts)
    token = accounts.log_in(person)
    accounts.services.uses.note(digest(token), time.time(), "192.0.2.1")
    accounts.do(flush_uses)
    assert changed_since(accounts, before) == []


def test_truncate_clears_everything(accounts: Accounts, person: Person) -> None:
    if accounts.engines.sqlite_file is not None:
        return  # SQLite has no TRUNCATE
    accounts.log_in(person)
    before = head(accounts)
    accounts.sql("TRUNCATE token CASCADE")
    assert set(changed_since(accounts, before)) == {None}


def test_change_numbers_have_no_gap_under_concurrent_deletions(accounts: Accounts) -> None:
    people = [accounts.add_person() for _ in range(4)]
    tokens = [accounts.log_in(person) for person in people for _ in range(15)]
    before = head(accounts)

    async def delete_all() -> None:
        async def delete(token: str) -> None:
            async with accounts.engines.writing.begin() as connection:
                await connection.execute(text("DELETE FROM token WHERE id = :id"), {"id": token[4:16]})

        await asyncio.gather(*(delete(token) for token in tokens))

    accounts.run(delete_all())
    assert len(changed_since(accounts, before)) == len(tokens)


REPLACEMENTS: dict[str, str] = {
    "token": "INSERT OR REPLACE INTO token SELECT * FROM token WHERE organization_id = '{organization}'",
    "token by rowid": "REPLACE INTO token (rowid, id, digest, organization_id, user_id, created) "
    "SELECT rowid, 'abcdefghijkl', x'00', organization_id, user_id, created FROM token "
    "WHERE organization_id = '{organization}'",
    "membership": "REPLACE INTO membership SELECT * FROM membership WHERE organization_id = '{organization}'",
    "user": 'REPLACE INTO "user" SELECT * FROM "user" WHERE id = {user}',
    "organization": "REPLACE INTO organization SELECT * FROM organization WHERE id = '{organization}'",
    "a token by another's rowid": "UPDATE OR REPLACE token SET rowid = rowid + 1 "
    "WHERE organization_id = '{organization}'",
    "a membership by another's rowid": "UPDATE OR REPLACE membership SET _rowid_ = _rowid_ - 1 "
    "WHERE organization_id = '{organization}'",
    "a user's rowid": 'UPDATE "user" SET oid = 999999 WHERE id = {user}',
    "key of a token": "UPDATE OR REPLACE token SET id = 'x' WHERE organization_id = '{organization}'",
    "key of an organization": "UPDATE organization SET id = 'zz' WHERE id = '{organization}'",
    "key of a user": 'UPDATE "user" SET id = 999999 WHERE id = {user}',
    "key of a membership": "UPDATE membership SET user_id = 999999 WHERE organization_id = '{organization}'",
}


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("replacement", REPLACEMENTS)
def test_replace_cannot_get_around_the_triggers(replacement: str, accounts: Accounts, person: Person) -> None:
    import sqlite3

    accounts.log_in(person)
    with pytest.raises(sqlite3.IntegrityError):
        _in_a_shell(
            accounts,
            REPLACEMENTS[replacement].format(
                organization=person.organization_id, user=user_id(accounts, person)
            ),
            False,
        )
    assert accounts.live_tokens(person.organization_id) == 1


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_sqlite_takes_no_text_for_a_moment(accounts: Accounts, person: Person) -> None:
    accounts.log_in(person)
    with pytest.raises(IntegrityError):
        accounts.sql("UPDATE token SET expiry = datetime('now')")


def test_a_login_is_committed_durably_whatever_the_database_was_set_to(
    accounts: Accounts, person: Person
) -> None:
    if accounts.engines.sqlite_file is not None:
        return  # synchronous=FULL is read back on every connection
    owner = user_id(accounts, person)

    async def insert_and_show() -> str:
        async with accounts.engines.writing.begin() as connection:
            await connection.execute(text("SET LOCAL synchronous_commit = off"))
            await connection.execute(
                text(
                    "INSERT INTO token (id, digest, organization_id, user_id, created) "
                    "VALUES (:id, :digest, :organization, :user, now())"
                ),
                {
                    "id": secrets.token_hex(6),
                    "digest": secrets.token_bytes(32),
                    "organization": person.organization_id,
                    "user": owner,
                },
            )
            return str((await connection.execute(text("SHOW synchronous_commit"))).scalar_one())

    assert accounts.run(insert_and_show()) == "on"


def test_a_token_needs_a_membership(accounts: Accounts, person: Person) -> None:
    stranger = accounts.add_person()
    with pytest.raises(IntegrityError):
        insert(accounts, Person(person.organization_id, stranger.username), "NULL")


def test_a_flush_never_brings_back_a_token_and_only_newer_uses_win(
    accounts: Accounts, person: Person
) -> None:
    from nightlatch.store.token_use import record_uses

    kept, ended = accounts.log_in(person), accounts.log_in(person)
    accounts.sql("DELETE FROM token WHERE id = :id", id=ended[4:16])

    async def flush(age: float, address: str) -> None:
        async with accounts.services.store.write() as connection:
            uses = [Use(digest(token), time.time() - age, address, 1) for token in (kept, ended)]
            await record_uses(connection, uses)

    accounts.run(flush(10, "192.0.2.10"))
    accounts.run(flush(60, "192.0.2.60"))
    rows = accounts.sql("SELECT token_id, address FROM token_use")
    assert (kept[4:16], "192.0.2.10") in [tuple(row) for row in rows]
    assert ended[4:16] not in [row[0] for row in rows]
    accounts.run(flush(1, "192.0.2.1"))
    assert accounts.sql("SELECT address FROM token_use WHERE token_id = :id", id=kept[4:16]) == [
        ("192.0.2.1",)
    ]
    assert accounts.live_tokens(person.organization_id) == 1


def test_pruning_deletes_tokens_that_expired_a_week_ago_and_no_others(
    accounts: Accounts, database: Database, person: Person
) -> None:
    from nightlatch.usecases.prune import prune_expired

    day = 24 * 3600 * 1_000_000
    ages = {}
    for days in (0, 6, 8):
        token = accounts.log_in(person)
        moment = (
            f"{now(accounts)} - {days * day}"
            if database.kind == "sqlite"
            else f"now() - interval '{days} days'"
        )
        accounts.sql(f"UPDATE token SET expiry = {moment} WHERE id = :id", id=token[4:16])
        ages[days] = token[4:16]
    accounts.do(prune_expired)
    left = {
        row[0]
        for row in accounts.sql("SELECT id FROM token WHERE organization_id = :id", id=person.organization_id)
    }
    assert left == {ages[0], ages[6]}


def test_roles_are_owner_and_member_only(accounts: Accounts, person: Person) -> None:
    assert {role.value for role in Role} == {"owner", "member"}
    with pytest.raises(IntegrityError):
        accounts.sql(
            "UPDATE membership SET role = 'admin' WHERE organization_id = :id", id=person.organization_id
        )


@pytest.mark.parametrize("level", ["repeatable_read", "serializable"])
def test_a_trigger_that_cannot_see_every_token_clears_everything(
    level: str, accounts: Accounts, person: Person
) -> None:
    if accounts.engines.sqlite_file is not None:
        return  # its transactions that write see everything
    before = head(accounts)

    async def disable_by_an_old_snapshot() -> None:
        connection = await accounts.engines.connect()
        async with connection.transaction(isolation=level):
            await connection.fetch("SELECT * FROM token")
            await log_in(accounts.services, Login(person.credentials, "", None, Origin()))
            await connection.execute('UPDATE "user" SET disabled = now() WHERE email = $1', person.username)
        await connection.close()

    accounts.run(disable_by_an_old_snapshot())
    assert None in changed_since(accounts, before)


def test_transactions_are_read_committed_whatever_the_database_was_set_to(
    accounts: Accounts, database: Database
) -> None:
    if accounts.engines.sqlite_file is not None:
        return
    name = accounts.sql("SELECT current_database()")[0][0]
    accounts.sql(f"ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'")
    other = Accounts(database.url)
    try:
        assert other.sql("SHOW transaction_isolation")[0][0] == "read committed"
    finally:
        other.close()
        accounts.sql(f"ALTER DATABASE {name} RESET default_transaction_isolation")


def test_a_server_that_takes_no_writes_is_not_connected_to(accounts: Accounts, database: Database) -> None:
    if accounts.engines.sqlite_file is not None:
        return
    name = accounts.sql("SELECT current_database()")[0][0]
    accounts.sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    try:
        with pytest.raises(StoreUnavailable):
            Accounts(database.url)
    finally:
        accounts.sql(f"ALTER DATABASE {name} RESET default_transaction_read_only")


def test_an_expiry_beyond_the_calendar_breaks_no_list(accounts: Accounts, person: Person) -> None:
    token = accounts.log_in(person)
    beyond = "999999999999999999" if accounts.engines.sqlite_file is not None else "'infinity'"
    accounts.sql(f"UPDATE token SET expiry = {beyond} WHERE id = :id", id=token[4:16])
    shown = accounts.do(show_tokens, OrganizationId(person.organization_id))
    assert [record.id for record in shown] == [token[4:16]]
