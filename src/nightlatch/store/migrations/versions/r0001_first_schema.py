"""First schema: tables, the token limit kept by the database, and the change feed.

The triggers are what raw SQL, an old server and a hurried operator cannot get around:

* a token that would exceed its organization's limit is refused;
* whatever could make remembered standing wrong writes rows to `change`, numbered in the order in
  which they become visible, without gaps.
"""

import secrets

import sqlalchemy as sa
from alembic import op

from nightlatch.store.columns import POSTGRESQL_NOW, SQLITE_NOW, Instant

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

LEASE_MILLISECONDS = 250
_COUNTER = ("id", "number", "epoch", "lease_milliseconds", "lease_waited_milliseconds")
_USER_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Tables first, then the triggers of the database at hand."""
    _create_tables()
    op.bulk_insert(
        sa.table("change_counter", *(sa.column(name) for name in _COUNTER)),
        [
            dict(
                zip(
                    _COUNTER,
                    (1, 0, secrets.token_hex(16), LEASE_MILLISECONDS, LEASE_MILLISECONDS),
                    strict=True,
                )
            )
        ],
    )
    op.execute("INSERT INTO installation (id, oldest_server) VALUES (1, '0.1.0')")
    statements = _SQLITE if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL
    for statement in statements:
        op.get_bind().exec_driver_sql(statement)


def _integers(table: str, *columns: str) -> list[sa.CheckConstraint]:
    """SQLite would store a text like '2026-01-01' there, and rank it above every number."""
    if op.get_bind().dialect.name != "sqlite":
        return []
    return [
        sa.CheckConstraint(f"typeof({column}) IN ('integer', 'null')", f"{table}_{column}_integer")
        for column in columns
    ]


def _create_tables() -> None:
    op.create_table(
        "organization",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("token_limit", sa.Integer, nullable=False),
        sa.Column("limit_policy", sa.String(32), nullable=False, server_default="refuse"),
        sa.Column("time_to_live", sa.Integer),
        sa.Column("created", Instant, nullable=False),
        sa.Column("closed", Instant),
        sa.PrimaryKeyConstraint("id", name="organization_pkey"),
        sa.CheckConstraint("token_limit >= 0", name="organization_token_limit"),
        sa.CheckConstraint("time_to_live > 0", name="organization_time_to_live"),
        sa.CheckConstraint(
            "limit_policy IN ('refuse', 'replace_oldest', 'replace_least_recently_used')",
            name="organization_limit_policy",
        ),
        *_integers("organization", "token_limit", "time_to_live", "created", "closed"),
    )
    op.create_table(
        "user",
        sa.Column("id", _USER_ID, autoincrement=True, nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("password_hash", sa.Text, nullable=False),
        sa.Column("password_version", sa.Integer, nullable=False, server_default="1"),
        sa.Column("created", Instant, nullable=False),
        sa.Column("disabled", Instant),
        sa.PrimaryKeyConstraint("id", name="user_pkey"),
        sa.UniqueConstraint("email", name="user_email_key"),
        *_integers("user", "password_version", "created", "disabled"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "membership",
        sa.Column("organization_id", sa.String(32), nullable=False),
        sa.Column("user_id", _USER_ID, nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("created", Instant, nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "user_id", name="membership_pkey"),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
            ondelete="CASCADE",
            name="membership_organization_id_fkey",
        ),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], ondelete="CASCADE", name="membership_user_id_fkey"),
        sa.CheckConstraint("role IN ('owner', 'member')", name="membership_role"),
        *_integers("membership", "created"),
    )
    op.create_index("membership_user_id", "membership", ["user_id"])
    op.create_table(
        "token",
        sa.Column("id", sa.String(12), nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("organization_id", sa.String(32), nullable=False),
        sa.Column("user_id", _USER_ID, nullable=False),
        sa.Column("name", sa.String(100), nullable=False, server_default=""),
        sa.Column("user_agent", sa.Text, nullable=False, server_default=""),
        sa.Column("created", Instant, nullable=False),
        sa.Column("expiry", Instant),
        sa.PrimaryKeyConstraint("id", name="token_pkey"),
        sa.UniqueConstraint("digest", name="token_digest_key"),
        sa.ForeignKeyConstraint(
            ["organization_id", "user_id"],
            ["membership.organization_id", "membership.user_id"],
            ondelete="CASCADE",
            name="token_organization_id_user_id_fkey",
        ),
        *_integers("token", "created", "expiry"),
    )
    op.create_index("token_organization_id_user_id", "token", ["organization_id", "user_id"])
    op.create_index("token_expiry", "token", ["expiry"])
    op.create_table(
        "token_use",
        sa.Column("token_id", sa.String(12), nullable=False),
        sa.Column("used", Instant, nullable=False),
        sa.Column("address", sa.String(45), nullable=False),
        sa.PrimaryKeyConstraint("token_id", name="token_use_pkey"),
        sa.ForeignKeyConstraint(
            ["token_id"], ["token.id"], ondelete="CASCADE", name="token_use_token_id_fkey"
        ),
        *_integers("token_use", "used"),
    )
    op.create_table(
        "change_counter",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("epoch", sa.String(32), nullable=False),
        sa.Column("lease_milliseconds", sa.Integer, nullable=False),
        sa.Column("lease_waited_milliseconds", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="change_counter_pkey"),
        sa.CheckConstraint("id = 1", name="change_counter_one_row"),
        sa.CheckConstraint("lease_milliseconds BETWEEN 0 AND 60000", name="change_counter_lease"),
        sa.CheckConstraint(
            "lease_waited_milliseconds BETWEEN lease_milliseconds AND 60000",
            name="change_counter_lease_waited",
        ),
        *_integers("change_counter", "number", "lease_milliseconds", "lease_waited_milliseconds"),
    )
    op.create_table(
        "change",
        sa.Column("number", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("digest", sa.LargeBinary),
        sa.Column("at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("number", name="change_pkey"),
    )
    op.create_table(
        "installation",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("oldest_server", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="installation_pkey"),
        sa.CheckConstraint("id = 1", name="installation_one_row"),
    )


# --- SQLite -------------------------------------------------------------------------------------
#
# There is one writer at a time, so that numbers are in order without more ado. Cascades are
# written as triggers too, because a shell leaves foreign_keys off. INSERT OR REPLACE deletes
# without running delete triggers: where a row with that key exists, it is refused. Rows keep
# their keys for life, since everything that refers to them would have to follow.


def _sqlite_fixed_keys(table: str, *keys: str) -> list[str]:
    existing = " OR ".join(f"{key} = NEW.{key}" for key in keys)
    if table == "membership":
        existing = "organization_id = NEW.organization_id AND user_id = NEW.user_id"
    changed = " OR ".join(f"NEW.{key} IS NOT OLD.{key}" for key in keys)
    return [
        f"""
        CREATE TRIGGER {table}_insert_never_replaces BEFORE INSERT ON "{table}"
        WHEN EXISTS (SELECT 1 FROM "{table}" WHERE rowid = NEW.rowid OR {existing})
        BEGIN SELECT RAISE(ABORT, 'UNIQUE constraint failed: {table}'); END
        """,
        f"""
        CREATE TRIGGER {table}_keys_stay BEFORE UPDATE ON "{table}"
        WHEN NEW.rowid IS NOT OLD.rowid OR {changed}
        BEGIN SELECT RAISE(ABORT, '{table}: {", ".join(keys)} cannot be changed'); END
        """,
    ]


def _sqlite_changes(name: str, event: str, tokens: str) -> str:
    """A row for each token that the event touches; `tokens` is the condition that picks them."""
    return f"""
        CREATE TRIGGER {name} AFTER {event}
        BEGIN
            INSERT INTO change (number, digest, at)
            SELECT change_counter.number + row_number() OVER (ORDER BY token.id), token.digest, {SQLITE_NOW}
            FROM token, change_counter WHERE {tokens};
            UPDATE change_counter SET number = number + (SELECT count(*) FROM token WHERE {tokens});
        END
        """


_SQLITE_LIVE = f"(expiry IS NULL OR expiry > {SQLITE_NOW})"
_SQLITE_LIMIT = f"""
    BEGIN
        SELECT RAISE(ABORT, 'token_limit_reached')
        WHERE (
            SELECT count(*) FROM token
            WHERE organization_id = NEW.organization_id AND id <> NEW.id AND {_SQLITE_LIVE}
        ) >= coalesce((SELECT token_limit FROM organization WHERE id = NEW.organization_id), 0);
    END
    """
_SQLITE_ONE_CHANGE = f"""
    UPDATE change_counter SET number = number + 1;
    INSERT INTO change (number, digest, at) SELECT number, OLD.digest, {SQLITE_NOW} FROM change_counter;
    """

_SQLITE = [
    *_sqlite_fixed_keys("organization", "id"),
    *_sqlite_fixed_keys("user", "id"),
    *_sqlite_fixed_keys("membership", "organization_id", "user_id"),
    *_sqlite_fixed_keys("token", "id", "digest"),
    """
    CREATE TRIGGER user_email_never_replaces BEFORE INSERT ON "user"
    WHEN EXISTS (SELECT 1 FROM "user" WHERE email = NEW.email)
    BEGIN SELECT RAISE(ABORT, 'UNIQUE constraint failed: user.email'); END
    """,
    """
    CREATE TRIGGER user_email_update_never_replaces BEFORE UPDATE OF email ON "user"
    WHEN EXISTS (SELECT 1 FROM "user" WHERE email = NEW.email AND id <> OLD.id)
    BEGIN SELECT RAISE(ABORT, 'UNIQUE constraint failed: user.email'); END
    """,
    """
    CREATE TRIGGER organization_delete_cascades AFTER DELETE ON organization
    BEGIN DELETE FROM membership WHERE organization_id = OLD.id; END
    """,
    """
    CREATE TRIGGER user_delete_cascades AFTER DELETE ON "user"
    BEGIN DELETE FROM membership WHERE user_id = OLD.id; END
    """,
    """
    CREATE TRIGGER membership_delete_cascades AFTER DELETE ON membership
    BEGIN DELETE FROM token WHERE organization_id = OLD.organization_id AND user_id = OLD.user_id; END
    """,
    f"""
    CREATE TRIGGER token_insert_within_limit BEFORE INSERT ON token
    WHEN NEW.expiry IS NULL OR NEW.expiry > {SQLITE_NOW}
    {_SQLITE_LIMIT}
    """,
    f"""
    CREATE TRIGGER token_update_within_limit BEFORE UPDATE OF organization_id, expiry ON token
    WHEN (NEW.expiry IS NULL OR NEW.expiry > {SQLITE_NOW})
        AND NOT (
            NEW.organization_id = OLD.organization_id
            AND (OLD.expiry IS NULL OR OLD.expiry > {SQLITE_NOW})
        )
    {_SQLITE_LIMIT}
    """,
    f"""
    CREATE TRIGGER token_delete_changes AFTER DELETE ON token
    BEGIN
        DELETE FROM token_use WHERE token_id = OLD.id;
        {_SQLITE_ONE_CHANGE}
    END
    """,
    f"""
    CREATE TRIGGER token_update_changes AFTER UPDATE OF organization_id, user_id, expiry ON token
    BEGIN {_SQLITE_ONE_CHANGE} END
    """,
    _sqlite_changes(
        "membership_update_changes",
        "UPDATE OF role ON membership WHEN NEW.role IS NOT OLD.role",
        "token.organization_id = NEW.organization_id AND token.user_id = NEW.user_id",
    ),
    _sqlite_changes(
        "user_update_changes",
        'UPDATE OF email, disabled ON "user" '
        "WHEN NEW.email IS NOT OLD.email OR NEW.disabled IS NOT OLD.disabled",
        "token.user_id = NEW.id",
    ),
    _sqlite_changes(
        "organization_update_changes",
        "UPDATE OF closed ON organization WHEN NEW.closed IS NOT OLD.closed",
        "token.organization_id = NEW.id",
    ),
]


# --- PostgreSQL ---------------------------------------------------------------------------------

_POSTGRESQL = [
    # An UPDATE, not SELECT … FOR UPDATE: it makes a transaction of a higher isolation level fail
    # whose snapshot is older than another token's commit; with a bare lock it would count too few.
    # Each statement in a volatile function sees what committed while it waited for the lock.
    f"""
    CREATE FUNCTION nightlatch_token_within_limit() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        allowed integer;
        live integer;
    BEGIN
        -- A login that was acknowledged is durable, whatever the role or the database was set to.
        IF current_setting('synchronous_commit') NOT IN ('on', 'remote_apply') THEN
            PERFORM set_config('synchronous_commit', 'on', true);
        END IF;
        UPDATE organization SET token_limit = token_limit
            WHERE id = NEW.organization_id RETURNING token_limit INTO allowed;
        IF NEW.expiry <= {POSTGRESQL_NOW} THEN
            RETURN NEW;
        END IF;
        IF TG_OP = 'UPDATE' AND NEW.organization_id = OLD.organization_id
                AND (OLD.expiry IS NULL OR OLD.expiry > {POSTGRESQL_NOW}) THEN
            RETURN NEW;
        END IF;
        SELECT count(*) INTO live FROM token
            WHERE organization_id = NEW.organization_id AND id <> NEW.id
            AND (expiry IS NULL OR expiry > {POSTGRESQL_NOW});
        IF live >= coalesce(allowed, 0) THEN
            RAISE EXCEPTION 'token_limit_reached' USING ERRCODE = 'check_violation',
                CONSTRAINT = 'token_within_limit', TABLE = 'token',
                DETAIL = format('organization %s has %s of %s live tokens',
                                NEW.organization_id, live, coalesce(allowed, 0));
        END IF;
        RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER token_within_limit BEFORE INSERT OR UPDATE OF organization_id, expiry ON token
    FOR EACH ROW EXECUTE FUNCTION nightlatch_token_within_limit()
    """,
    """
    CREATE FUNCTION nightlatch_keys_stay() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'token: id, digest cannot be changed' USING ERRCODE = 'check_violation';
    END $$
    """,
    """
    CREATE TRIGGER token_keys_stay BEFORE UPDATE OF id, digest ON token
    FOR EACH ROW WHEN (NEW.id IS DISTINCT FROM OLD.id OR NEW.digest IS DISTINCT FROM OLD.digest)
    EXECUTE FUNCTION nightlatch_keys_stay()
    """,
    # Called by deferred triggers, thus inside COMMIT: the counter's row is locked only from there
    # to the end of the transaction. Whoever gets the next number waits for that end, so that
    # numbers become visible in order and without gaps. A commit that ends a token is waited for
    # even where the role or the database was set to synchronous_commit = off.
    f"""
    CREATE FUNCTION nightlatch_write_change(changed bytea) RETURNS void LANGUAGE plpgsql AS $$
    DECLARE
        next bigint;
    BEGIN
        IF current_setting('synchronous_commit') NOT IN ('on', 'remote_apply') THEN
            PERFORM set_config('synchronous_commit', 'on', true);
        END IF;
        UPDATE change_counter SET number = number + 1 RETURNING number INTO STRICT next;
        INSERT INTO change (number, digest, at) VALUES (next, changed, {POSTGRESQL_NOW});
    END $$
    """,
    # At REPEATABLE READ and above, a trigger does not see tokens that were made after the transaction
    # began: then whatever is remembered is forgotten.
    """
    CREATE FUNCTION nightlatch_write_change_beyond_snapshot() RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
        IF current_setting('transaction_isolation') <> 'read committed' THEN
            PERFORM nightlatch_write_change(NULL);
        END IF;
    END $$
    """,
    """
    CREATE FUNCTION nightlatch_token_changed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM nightlatch_write_change(OLD.digest);
        RETURN NULL;
    END $$
    """,
    """
    CREATE CONSTRAINT TRIGGER token_changes AFTER DELETE OR UPDATE OF organization_id, user_id, expiry
    ON token DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION nightlatch_token_changed()
    """,
    """
    CREATE FUNCTION nightlatch_membership_changed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM nightlatch_write_change(digest) FROM token
            WHERE organization_id = NEW.organization_id AND user_id = NEW.user_id;
        PERFORM nightlatch_write_change_beyond_snapshot();
        RETURN NULL;
    END $$
    """,
    """
    CREATE CONSTRAINT TRIGGER membership_changes AFTER UPDATE ON membership
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW IS DISTINCT FROM OLD) EXECUTE FUNCTION nightlatch_membership_changed()
    """,
    """
    CREATE FUNCTION nightlatch_user_changed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM nightlatch_write_change(digest) FROM token WHERE user_id = NEW.id;
        PERFORM nightlatch_write_change_beyond_snapshot();
        RETURN NULL;
    END $$
    """,
    """
    CREATE CONSTRAINT TRIGGER user_changes AFTER UPDATE OF email, disabled ON "user"
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW
    WHEN (NEW.email IS DISTINCT FROM OLD.email OR NEW.disabled IS DISTINCT FROM OLD.disabled)
    EXECUTE FUNCTION nightlatch_user_changed()
    """,
    """
    CREATE FUNCTION nightlatch_organization_changed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM nightlatch_write_change(digest) FROM token WHERE organization_id = NEW.id;
        PERFORM nightlatch_write_change_beyond_snapshot();
        RETURN NULL;
    END $$
    """,
    """
    CREATE CONSTRAINT TRIGGER organization_changes AFTER UPDATE OF closed ON organization
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.closed IS DISTINCT FROM OLD.closed)
    EXECUTE FUNCTION nightlatch_organization_changed()
    """,
    """
    CREATE FUNCTION nightlatch_everything_changed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM nightlatch_write_change(NULL);
        RETURN NULL;
    END $$
    """,
    *(
        f"""
        CREATE TRIGGER {table}_truncate_changes AFTER TRUNCATE ON "{table}"
        FOR EACH STATEMENT EXECUTE FUNCTION nightlatch_everything_changed()
        """
        for table in ("organization", "user", "membership", "token")
    ),
]
