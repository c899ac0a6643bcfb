"""An index by which to find out whether an address is known to any account.

A server of the schema before lets people in without looking whether others refuse from memory: beside such a
one, who logs in for the first time from an address may be refused there for a quarter of a second more.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One index; while it is built on PostgreSQL, logins that note their address wait."""
    op.create_index("known_address_address", "known_address", ["address"])
