"""Tokens of other services: which kinds were imported, and which tokens.

A token of 64 bytes of digest is an imported one. Somebody may have presented it before it was here, and a
process remember that there is no such token: so its coming is a change, as its end is. Servers of the schema
before accept none of them.
"""

import sqlalchemy as sa
from alembic import op

from nightlatch.store.columns import SQLITE_NOW

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Tables first, then the trigger of the database at hand."""
    sqlite = op.get_bind().dialect.name == "sqlite"
    integers = [
        sa.CheckConstraint("typeof(characters) = 'integer'", "imported_kind_characters_integer")
        for _ in range(sqlite)
    ]
    op.create_table(
        "imported_kind",
        sa.Column("algorithm", sa.String(16), nullable=False),
        sa.Column("prefix", sa.String(10), nullable=False),
        sa.Column("characters", sa.Integer, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("algorithm", "prefix", "characters", name="imported_kind_pkey"),
        sa.CheckConstraint(
            "characters BETWEEN 32 AND 128 AND characters % 2 = 0", name="imported_kind_characters"
        ),
        sa.CheckConstraint("length(prefix) <= 10", name="imported_kind_prefix"),
        *integers,
    )
    op.create_table(
        "imported",
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("source", sa.String(16), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="imported_pkey"),
    )
    for statement in _SQLITE if sqlite else _POSTGRESQL:
        op.get_bind().exec_driver_sql(statement)


_SQLITE = [
    f"""
    CREATE TRIGGER token_import_changes AFTER INSERT ON token WHEN length(NEW.digest) = 64
    BEGIN
        UPDATE change_counter SET number = number + 1;
        INSERT INTO change (number, digest, at) SELECT number, NEW.digest, {SQLITE_NOW} FROM change_counter;
    END
    """,
]

_POSTGRESQL = [
    """
    CREATE FUNCTION nightlatch_token_imported() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM nightlatch_write_change(NEW.digest);
        RETURN NULL;
    END $$
    """,
    """
    CREATE CONSTRAINT TRIGGER token_import_changes AFTER INSERT ON token
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (length(NEW.digest) = 64) EXECUTE FUNCTION nightlatch_token_imported()
    """,
]
