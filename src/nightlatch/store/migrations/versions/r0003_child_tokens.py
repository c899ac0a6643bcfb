"""Child tokens: a table of their own, a limit of their own, and the same care by triggers.

A child token ends with its parent, whoever ends that: by the foreign key, and on SQLite by a trigger too,
since a shell leaves foreign_keys off. It never outlives it: an expiry beyond the parent's is refused, and
a parent's expiry that is moved forward takes the children's with it. What a child token may do is what the
holder of its parent asked for: when a parent changes hands, by raw SQL, its children end.

Nothing that a server of the schema before uses is changed: it runs on this one, too, and knows no child
token. Only `nightlatch restored` of that version fails on PostgreSQL, since it truncates what is referred to.
"""

import sqlalchemy as sa
from alembic import op

from nightlatch.store.columns import POSTGRESQL_NOW, SQLITE_NOW, Instant

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_RULES = (("child_token_limit", 1000, ">= 0"), ("child_time_to_live", 3600, "> 0"))
"""Of an organization: how many live child tokens it may have, and for how many seconds one lives at most."""


def upgrade() -> None:
    """The organization's rules, the table, then the triggers of the database at hand."""
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for rule, default, allowed in _RULES:
        # SQLite would store a text there, and rank it above every number.
        integer = f" AND typeof({rule}) = 'integer'" if is_sqlite else ""
        op.get_bind().exec_driver_sql(
            f"ALTER TABLE organization ADD COLUMN {rule} INTEGER DEFAULT {default} NOT NULL "
            f"CONSTRAINT organization_{rule} CHECK ({rule} {allowed}{integer})"
        )
    _create_table(is_sqlite)
    for statement in _SQLITE if is_sqlite else _POSTGRESQL:
        op.get_bind().exec_driver_sql(statement)


def _create_table(is_sqlite: bool) -> None:
    integers = [
        sa.CheckConstraint(f"typeof({column}) = 'integer'", f"child_token_{column}_integer")
        for column in ("created", "expiry")
    ]
    op.create_table(
        "child_token",
        sa.Column("id", sa.String(12), nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("parent_id", sa.String(12), nullable=False),
        sa.Column("name", sa.String(100), nullable=False, server_default=""),
        sa.Column("created", Instant, nullable=False),
        sa.Column("expiry", Instant, nullable=False),
        sa.Column("methods", sa.Text, nullable=False),
        sa.Column("paths", sa.Text, nullable=False),
        sa.Column("origin", sa.Text),
        sa.Column("networks", sa.Text),
        sa.PrimaryKeyConstraint("id", name="child_token_pkey"),
        sa.UniqueConstraint("digest", name="child_token_digest_key"),
        sa.ForeignKeyConstraint(
            ["parent_id"], ["token.id"], ondelete="CASCADE", name="child_token_parent_id_fkey"
        ),
        *(integers if is_sqlite else ()),
    )
    op.create_index("child_token_parent_id_expiry", "child_token", ["parent_id", "expiry"])
    op.create_index("child_token_expiry", "child_token", ["expiry"])


# --- SQLite -------------------------------------------------------------------------------------


def _sqlite_changes(name: str, event: str, tokens: str) -> str:
    """A row for each child token that the event touches; `tokens` picks their parents."""
    children = f"child_token JOIN token ON token.id = child_token.parent_id WHERE {tokens}"
    return f"""
        CREATE TRIGGER {name} AFTER {event}
        BEGIN
            INSERT INTO change (number, digest, at)
            SELECT (SELECT number FROM change_counter) + row_number() OVER (ORDER BY child_token.id),
                child_token.digest, {SQLITE_NOW}
            FROM {children};
            UPDATE change_counter SET number = number + (SELECT count(*) FROM {children});
        END
        """


_SQLITE_WITHIN_PARENT = """
    SELECT RAISE(ABORT, 'child_token_within_parent')
    WHERE NOT EXISTS (
        SELECT 1 FROM token WHERE id = NEW.parent_id AND (expiry IS NULL OR expiry >= NEW.expiry)
    );
    """
_SQLITE_WITHIN_LIMIT = f"""
    SELECT RAISE(ABORT, 'child_token_limit_reached')
    WHERE NEW.expiry > {SQLITE_NOW} AND (
        SELECT count(*) FROM child_token JOIN token ON token.id = child_token.parent_id
        WHERE token.organization_id = (SELECT organization_id FROM token WHERE id = NEW.parent_id)
        AND child_token.id <> NEW.id AND child_token.expiry > {SQLITE_NOW}
    ) >= (
        SELECT child_token_limit FROM organization
        WHERE id = (SELECT organization_id FROM token WHERE id = NEW.parent_id)
    );
    """
_SQLITE_ONE_CHANGE = f"""
    UPDATE change_counter SET number = number + 1;
    INSERT INTO change (number, digest, at) SELECT number, OLD.digest, {SQLITE_NOW} FROM change_counter;
    """

_SQLITE = [
    """
    CREATE TRIGGER child_token_insert_never_replaces BEFORE INSERT ON child_token
    WHEN EXISTS (SELECT 1 FROM child_token WHERE rowid = NEW.rowid OR id = NEW.id OR digest = NEW.digest)
    BEGIN SELECT RAISE(ABORT, 'UNIQUE constraint failed: child_token'); END
    """,
    """
    CREATE TRIGGER child_token_keys_stay BEFORE UPDATE ON child_token
    WHEN NEW.rowid IS NOT OLD.rowid OR NEW.id IS NOT OLD.id OR NEW.digest IS NOT OLD.digest
        OR NEW.parent_id IS NOT OLD.parent_id
    BEGIN SELECT RAISE(ABORT, 'child_token: id, digest, parent_id cannot be changed'); END
    """,
    f"""
    CREATE TRIGGER child_token_insert_within_limits BEFORE INSERT ON child_token
    BEGIN {_SQLITE_WITHIN_PARENT} {_SQLITE_WITHIN_LIMIT} END
    """,
    f"""
    CREATE TRIGGER child_token_update_within_parent BEFORE UPDATE OF expiry ON child_token
    BEGIN {_SQLITE_WITHIN_PARENT} END
    """,
    f"""
    CREATE TRIGGER child_token_update_within_limit BEFORE UPDATE OF expiry ON child_token
    WHEN OLD.expiry <= {SQLITE_NOW}
    BEGIN {_SQLITE_WITHIN_LIMIT} END
    """,
    f"""
    CREATE TRIGGER child_token_delete_changes AFTER DELETE ON child_token
    BEGIN {_SQLITE_ONE_CHANGE} END
    """,
    f"""
    CREATE TRIGGER child_token_update_changes AFTER UPDATE ON child_token
    BEGIN {_SQLITE_ONE_CHANGE} END
    """,
    """
    CREATE TRIGGER token_delete_ends_children AFTER DELETE ON token
    BEGIN DELETE FROM child_token WHERE parent_id = OLD.id; END
    """,
    """
    CREATE TRIGGER token_expiry_bounds_children AFTER UPDATE OF expiry ON token
    BEGIN UPDATE child_token SET expiry = NEW.expiry WHERE parent_id = NEW.id AND expiry > NEW.expiry; END
    """,
    """
    CREATE TRIGGER token_holder_ends_children AFTER UPDATE OF organization_id, user_id ON token
    WHEN NEW.organization_id IS NOT OLD.organization_id OR NEW.user_id IS NOT OLD.user_id
    BEGIN DELETE FROM child_token WHERE parent_id = NEW.id; END
    """,
    _sqlite_changes(
        "membership_update_changes_children",
        "UPDATE OF role ON membership WHEN NEW.role IS NOT OLD.role",
        "token.organization_id = NEW.organization_id AND token.user_id = NEW.user_id",
    ),
    _sqlite_changes(
        "user_update_changes_children",
        'UPDATE OF email, disabled ON "user" '
        "WHEN NEW.email IS NOT OLD.email OR NEW.disabled IS NOT OLD.disabled",
        "token.user_id = NEW.id",
    ),
    _sqlite_changes(
        "organization_update_changes_children",
        "UPDATE OF closed ON organization WHEN NEW.closed IS NOT OLD.closed",
        "token.organization_id = NEW.id",
    ),
]


# --- PostgreSQL ---------------------------------------------------------------------------------


def _postgresql_changes(table: str, event: str, differs: str, tokens: str) -> list[str]:
    """What a changed row of the table means for the child tokens whose parents `tokens` picks."""
    return [
        f"""
        CREATE FUNCTION nightlatch_{table}_changed_children() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM nightlatch_write_change(child_token.digest)
                FROM child_token JOIN token ON token.id = child_token.parent_id WHERE {tokens};
            RETURN NULL;
        END $$
        """,
        f"""
        CREATE CONSTRAINT TRIGGER {table}_changes_children AFTER {event} ON "{table}"
        DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW WHEN ({differs}) EXECUTE FUNCTION nightlatch_{table}_changed_children()
        """,
    ]


_POSTGRESQL = [
    # The parent's row is locked, so that neither its expiry nor its holder changes meanwhile, then the
    # organization's: both by an UPDATE, as for tokens.
    f"""
    CREATE FUNCTION nightlatch_child_token_within_limits() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        parent record;
        allowed integer;
        live integer;
    BEGIN
        -- A token that was handed out is durable, whatever the role or the database was set to.
        IF current_setting('synchronous_commit') NOT IN ('on', 'remote_apply') THEN
            PERFORM set_config('synchronous_commit', 'on', true);
        END IF;
        UPDATE token SET name = name WHERE id = NEW.parent_id RETURNING organization_id, expiry INTO parent;
        IF NOT FOUND OR NEW.expiry > parent.expiry THEN
            RAISE EXCEPTION 'child_token_within_parent' USING ERRCODE = 'check_violation',
                CONSTRAINT = 'child_token_within_parent', TABLE = 'child_token';
        END IF;
        UPDATE organization SET token_limit = token_limit
            WHERE id = parent.organization_id RETURNING child_token_limit INTO STRICT allowed;
        IF NEW.expiry <= {POSTGRESQL_NOW} OR (TG_OP = 'UPDATE' AND OLD.expiry > {POSTGRESQL_NOW}) THEN
            RETURN NEW;
        END IF;
        SELECT count(*) INTO live FROM child_token JOIN token ON token.id = child_token.parent_id
            WHERE token.organization_id = parent.organization_id
            AND child_token.id <> NEW.id AND child_token.expiry > {POSTGRESQL_NOW};
        IF live >= allowed THEN
            RAISE EXCEPTION 'child_token_limit_reached' USING ERRCODE = 'check_violation',
                CONSTRAINT = 'child_token_limit_reached', TABLE = 'child_token',
                DETAIL = format('organization %s has %s of %s live child tokens',
                                parent.organization_id, live, allowed);
        END IF;
        RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER child_token_within_limits BEFORE INSERT OR UPDATE OF expiry ON child_token
    FOR EACH ROW EXECUTE FUNCTION nightlatch_child_token_within_limits()
    """,
    """
    CREATE FUNCTION nightlatch_child_token_keys_stay() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'child_token: id, digest, parent_id cannot be changed'
            USING ERRCODE = 'check_violation';
    END $$
    """,
    """
    CREATE TRIGGER child_token_keys_stay BEFORE UPDATE OF id, digest, parent_id ON child_token
    FOR EACH ROW
    WHEN ((NEW.id, NEW.digest, NEW.parent_id) IS DISTINCT FROM (OLD.id, OLD.digest, OLD.parent_id))
    EXECUTE FUNCTION nightlatch_child_token_keys_stay()
    """,
    """
    CREATE CONSTRAINT TRIGGER child_token_changes AFTER DELETE OR UPDATE ON child_token
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION nightlatch_token_changed()
    """,
    """
    CREATE TRIGGER child_token_truncate_changes AFTER TRUNCATE ON child_token
    FOR EACH STATEMENT EXECUTE FUNCTION nightlatch_everything_changed()
    """,
    """
    CREATE FUNCTION nightlatch_token_bounds_children() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF (NEW.organization_id, NEW.user_id) IS DISTINCT FROM (OLD.organization_id, OLD.user_id) THEN
            DELETE FROM child_token WHERE parent_id = NEW.id;
        ELSE
            UPDATE child_token SET expiry = NEW.expiry WHERE parent_id = NEW.id AND expiry > NEW.expiry;
        END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER token_bounds_children AFTER UPDATE OF organization_id, user_id, expiry ON token
    FOR EACH ROW EXECUTE FUNCTION nightlatch_token_bounds_children()
    """,
    *_postgresql_changes(
        "membership",
        "UPDATE",
        "NEW IS DISTINCT FROM OLD",
        "token.organization_id = NEW.organization_id AND token.user_id = NEW.user_id",
    ),
    *_postgresql_changes(
        "user",
        "UPDATE OF email, disabled",
        "NEW.email IS DISTINCT FROM OLD.email OR NEW.disabled IS DISTINCT FROM OLD.disabled",
        "token.user_id = NEW.id",
    ),
    *_postgresql_changes(
        "organization",
        "UPDATE OF closed",
        "NEW.closed IS DISTINCT FROM OLD.closed",
        "token.organization_id = NEW.id",
    ),
]
