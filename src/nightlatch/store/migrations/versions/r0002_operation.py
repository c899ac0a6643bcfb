"""Tables for operating it: throttled logins, known addresses, the audit log, links to set a password.

Nothing that a server of the schema before uses is changed: it runs on this one, too.
"""

import sqlalchemy as sa
from alembic import op

from nightlatch.store.columns import POSTGRESQL_NOW, SQLITE_NOW, Instant

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_USER_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_FIXED = (
    "id",
    "at",
    "kind",
    "organization_id",
    "actor",
    "actor_user_id",
    "actor_email",
    "actor_token_id",
    "user_id",
    "email",
    "token_id",
    "request_id",
    "detail",
)
"""Of an event. Its `count` may rise; what it tells of the client may be erased, a day later at least."""
_CLIENT = ("address", "user_agent")


def upgrade() -> None:
    """Tables first, then the triggers of the database at hand."""
    _create_tables()
    statements = _SQLITE if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL
    for statement in statements:
        op.get_bind().exec_driver_sql(statement)


def _integers(table: str, *columns: str) -> list[sa.CheckConstraint]:
    """SQLite would store a text there, and rank it above every number."""
    if op.get_bind().dialect.name != "sqlite":
        return []
    return [
        sa.CheckConstraint(f"typeof({column}) IN ('integer', 'null')", f"{table}_{column}_integer")
        for column in columns
    ]


def _create_tables() -> None:
    op.create_table(
        "throttle",
        sa.Column("key", sa.LargeBinary, nullable=False),
        sa.Column("free_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("key", name="throttle_pkey"),
        *_integers("throttle", "free_at"),
    )
    op.create_index("throttle_free_at", "throttle", ["free_at"])
    op.create_table(
        "known_address",
        sa.Column("organization_id", sa.String(32), nullable=False),
        sa.Column("user_id", _USER_ID, nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("used", Instant, nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "user_id", "address", name="known_address_pkey"),
        sa.ForeignKeyConstraint(
            ["organization_id", "user_id"],
            ["membership.organization_id", "membership.user_id"],
            ondelete="CASCADE",
            name="known_address_organization_id_user_id_fkey",
        ),
        *_integers("known_address", "used"),
    )
    op.create_table(
        "event",
        sa.Column("id", _USER_ID, autoincrement=True, nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("organization_id", sa.String(32)),
        sa.Column("actor", sa.String(16), nullable=False),
        sa.Column("actor_user_id", _USER_ID),
        sa.Column("actor_email", sa.String(254)),
        sa.Column("actor_token_id", sa.String(12)),
        sa.Column("user_id", _USER_ID),
        sa.Column("email", sa.String(254)),
        sa.Column("token_id", sa.String(12)),
        sa.Column("address", sa.String(64)),
        sa.Column("user_agent", sa.Text),
        sa.Column("request_id", sa.String(64)),
        sa.Column("detail", sa.Text, nullable=False, server_default="{}"),
        sa.Column("count", sa.Integer, nullable=False, server_default="1"),
        sa.PrimaryKeyConstraint("id", name="event_pkey"),
        sa.CheckConstraint("actor IN ('user', 'operator', 'anonymous', 'server')", name="event_actor"),
        *_integers("event", "at", "count"),
        sqlite_autoincrement=True,
    )
    op.create_index("event_organization_id_at", "event", ["organization_id", "at"])
    op.create_index("event_organization_id_kind_at", "event", ["organization_id", "kind", "at"])
    op.create_index("event_organization_id_email_at", "event", ["organization_id", "email", "at"])
    op.create_index("event_at", "event", ["at"])
    client = sa.text("address IS NOT NULL OR user_agent IS NOT NULL")
    op.create_index("event_client_at", "event", ["at"], sqlite_where=client, postgresql_where=client)
    op.create_table(
        "password_link",
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("user_id", _USER_ID, nullable=False),
        sa.Column("created", Instant, nullable=False),
        sa.Column("expiry", Instant, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="password_link_pkey"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], ondelete="CASCADE", name="password_link_user_id_fkey"
        ),
        *_integers("password_link", "created", "expiry"),
    )
    op.create_index("password_link_user_id", "password_link", ["user_id"])


# An event stays as it was written, for a day at least: then retention may erase what it tells of the
# client, and delete it. Cascades are written as triggers too, because a shell of SQLite leaves
# foreign_keys off.

_KEPT_SECONDS = 86_400
_SQLITE_YOUNG = f"OLD.at > {SQLITE_NOW} - {_KEPT_SECONDS} * 1000000"
_POSTGRESQL_YOUNG = f"OLD.at > {POSTGRESQL_NOW} - interval '{_KEPT_SECONDS} seconds'"


def _is_rewritten(differs: str, is_young: str) -> str:
    """Whether an UPDATE does more than it may."""
    fixed = [f"NEW.{column} {differs} OLD.{column}" for column in _FIXED]
    client = [
        f"(NEW.{column} {differs} OLD.{column} AND (NEW.{column} IS NOT NULL OR {is_young}))"
        for column in _CLIENT
    ]
    return " OR ".join((*fixed, *client, "NEW.count < OLD.count"))


_SQLITE = [
    f"""
    CREATE TRIGGER event_stays_as_written BEFORE UPDATE ON event
    WHEN {_is_rewritten("IS NOT", _SQLITE_YOUNG)}
    BEGIN SELECT RAISE(ABORT, 'event: what was recorded stays'); END
    """,
    f"""
    CREATE TRIGGER event_is_kept BEFORE DELETE ON event
    WHEN {_SQLITE_YOUNG}
    BEGIN SELECT RAISE(ABORT, 'event: what was recorded is kept for a day at least'); END
    """,
    # INSERT OR REPLACE deletes without a trigger for deletions.
    """
    CREATE TRIGGER event_is_not_replaced BEFORE INSERT ON event
    WHEN EXISTS (SELECT 1 FROM event WHERE id = NEW.id)
    BEGIN SELECT RAISE(ABORT, 'event: what was recorded stays'); END
    """,
    """
    CREATE TRIGGER membership_delete_forgets_addresses AFTER DELETE ON membership
    BEGIN
        DELETE FROM known_address WHERE organization_id = OLD.organization_id AND user_id = OLD.user_id;
    END
    """,
    """
    CREATE TRIGGER user_delete_ends_links AFTER DELETE ON "user"
    BEGIN DELETE FROM password_link WHERE user_id = OLD.id; END
    """,
]

_POSTGRESQL = [
    f"""
    CREATE FUNCTION nightlatch_event_stays() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP <> 'DELETE' THEN
            RAISE EXCEPTION 'event: what was recorded stays' USING ERRCODE = 'check_violation';
        END IF;
        IF {_POSTGRESQL_YOUNG} THEN
            RAISE EXCEPTION 'event: what was recorded is kept for a day at least'
                USING ERRCODE = 'check_violation';
        END IF;
        RETURN OLD;
    END $$
    """,
    f"""
    CREATE TRIGGER event_stays_as_written BEFORE UPDATE ON event FOR EACH ROW
    WHEN ({_is_rewritten("IS DISTINCT FROM", _POSTGRESQL_YOUNG)})
    EXECUTE FUNCTION nightlatch_event_stays()
    """,
    """
    CREATE TRIGGER event_is_kept BEFORE DELETE ON event
    FOR EACH ROW EXECUTE FUNCTION nightlatch_event_stays()
    """,
    """
    CREATE TRIGGER event_is_not_truncated BEFORE TRUNCATE ON event
    FOR EACH STATEMENT EXECUTE FUNCTION nightlatch_event_stays()
    """,
]
