"""For the console: sessions of people in a browser, invitations, and how often tokens were used each day.

A session ends with whatever ends its user's tokens: with the membership by the foreign key, and on SQLite by
a trigger too, since a shell leaves foreign_keys off; with a password change and a disabled user by triggers,
so that no way to change either can forget it, a server of the schema before included.

Nothing that such a server uses is changed: it runs on this one, too.
"""

import sqlalchemy as sa
from alembic import op

from nightlatch.store.columns import Instant

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_USER_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Tables first, then the triggers of the database at hand."""
    op.create_table(
        "session",
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("id", sa.String(12), nullable=False),
        sa.Column("organization_id", sa.String(32), nullable=False),
        sa.Column("user_id", _USER_ID, nullable=False),
        sa.Column("created", Instant, nullable=False),
        sa.Column("used", Instant, nullable=False),
        sa.Column("confirmed", Instant, nullable=False),
        sa.Column("expiry", Instant, nullable=False),
        sa.Column("address", sa.String(64), nullable=False, server_default=""),
        sa.Column("user_agent", sa.Text, nullable=False, server_default=""),
        sa.PrimaryKeyConstraint("digest", name="session_pkey"),
        sa.UniqueConstraint("id", name="session_id_key"),
        sa.ForeignKeyConstraint(
            ["organization_id", "user_id"],
            ["membership.organization_id", "membership.user_id"],
            ondelete="CASCADE",
            name="session_organization_id_user_id_fkey",
        ),
        *_integers("session", "created", "used", "confirmed", "expiry"),
    )
    op.create_index("session_organization_id_user_id", "session", ["organization_id", "user_id"])
    op.create_index("session_user_id", "session", ["user_id"])
    op.create_index("session_expiry", "session", ["expiry"])
    op.create_table(
        "invitation",
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("id", sa.String(12), nullable=False),
        sa.Column("organization_id", sa.String(32), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("invited_by", sa.String(254), nullable=False),
        sa.Column("created", Instant, nullable=False),
        sa.Column("expiry", Instant, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="invitation_pkey"),
        sa.UniqueConstraint("id", name="invitation_id_key"),
        sa.UniqueConstraint("organization_id", "email", name="invitation_organization_id_email_key"),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
            ondelete="CASCADE",
            name="invitation_organization_id_fkey",
        ),
        sa.CheckConstraint("role IN ('owner', 'member')", name="invitation_role"),
        *_integers("invitation", "created", "expiry"),
    )
    op.create_index("invitation_expiry", "invitation", ["expiry"])
    op.create_table(
        "token_usage",
        sa.Column("organization_id", sa.String(32), nullable=False),
        sa.Column("day", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("token_id", sa.String(12), nullable=False),
        sa.Column("uses", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "day", "token_id", name="token_usage_pkey"),
        *_integers("token_usage", "day", "uses"),
    )
    op.create_index("token_usage_day", "token_usage", ["day"])
    for statement in _SQLITE if _is_sqlite() else _POSTGRESQL:
        op.get_bind().exec_driver_sql(statement)


def _is_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"


def _integers(table: str, *columns: str) -> list[sa.CheckConstraint]:
    """SQLite would store a text there, and rank it above every number."""
    if not _is_sqlite():
        return []
    return [
        sa.CheckConstraint(f"typeof({column}) = 'integer'", f"{table}_{column}_integer") for column in columns
    ]


_SHUT_OUT = (
    "NEW.password_version IS DISTINCT FROM OLD.password_version"
    " OR (NEW.disabled IS NOT NULL AND OLD.disabled IS NULL)"
)

_SQLITE = [
    """
    CREATE TRIGGER session_insert_never_replaces BEFORE INSERT ON session
    WHEN EXISTS (SELECT 1 FROM session WHERE rowid = NEW.rowid OR id = NEW.id OR digest = NEW.digest)
    BEGIN SELECT RAISE(ABORT, 'UNIQUE constraint failed: session'); END
    """,
    """
    CREATE TRIGGER membership_delete_ends_sessions AFTER DELETE ON membership
    BEGIN DELETE FROM session WHERE organization_id = OLD.organization_id AND user_id = OLD.user_id; END
    """,
    f"""
    CREATE TRIGGER user_update_ends_sessions AFTER UPDATE OF password_version, disabled ON "user"
    WHEN {_SHUT_OUT.replace("IS DISTINCT FROM", "IS NOT")}
    BEGIN DELETE FROM session WHERE user_id = NEW.id; END
    """,
    """
    CREATE TRIGGER organization_delete_ends_invitations AFTER DELETE ON organization
    BEGIN DELETE FROM invitation WHERE organization_id = OLD.id; END
    """,
]

_POSTGRESQL = [
    """
    CREATE FUNCTION nightlatch_user_ends_sessions() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        DELETE FROM session WHERE user_id = NEW.id;
        RETURN NULL;
    END $$
    """,
    f"""
    CREATE TRIGGER user_update_ends_sessions AFTER UPDATE OF password_version, disabled ON "user"
    FOR EACH ROW WHEN ({_SHUT_OUT}) EXECUTE FUNCTION nightlatch_user_ends_sessions()
    """,
]
