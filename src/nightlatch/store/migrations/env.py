"""Run by Alembic; the connection comes from store/schema.py, which also holds the lock."""

from alembic import context
from sqlalchemy import Connection

from nightlatch.store.tables import metadata

connection: Connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    transactional_ddl=True,
    transaction_per_migration=False,
)
context.run_migrations()
