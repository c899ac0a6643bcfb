"""The tables. What keeps the promises beside them (triggers) is in store/migrations/versions.

Every change to this file needs a migration; a test compares the two on both databases.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    or_,
)

from nightlatch.store.columns import Instant

metadata = MetaData(
    naming_convention={
        "ix": "%(table_name)s_%(column_0_N_name)s",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "pk": "%(table_name)s_pkey",
    }
)

organization = Table(
    "organization",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("token_limit", Integer, nullable=False),
    Column("limit_policy", String(32), nullable=False, server_default="refuse"),
    Column("time_to_live", Integer),
    Column("created", Instant, nullable=False),
    Column("closed", Instant),
    Column("child_token_limit", Integer, nullable=False, server_default="1000"),
    Column("child_time_to_live", Integer, nullable=False, server_default="3600"),
    CheckConstraint("token_limit >= 0", "token_limit"),
    CheckConstraint("time_to_live > 0", "time_to_live"),
    CheckConstraint("child_token_limit >= 0", "child_token_limit"),
    CheckConstraint("child_time_to_live > 0", "child_time_to_live"),
    CheckConstraint(
        "limit_policy IN ('refuse', 'replace_oldest', 'replace_least_recently_used')", "limit_policy"
    ),
)

user = Table(
    "user",
    metadata,
    # AUTOINCREMENT: the id of a deleted user is never given to another.
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("email", String(254), nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),
    # Counts password changes: a login that checked the old password sees that it is too late.
    Column("password_version", Integer, nullable=False, server_default="1"),
    Column("created", Instant, nullable=False),
    Column("disabled", Instant),
    sqlite_autoincrement=True,
)

membership = Table(
    "membership",
    metadata,
    Column("organization_id", ForeignKey("organization.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", ForeignKey("user.id", ondelete="CASCADE"), primary_key=True, index=True),
    Column("role", String(16), nullable=False),
    Column("created", Instant, nullable=False),
    CheckConstraint("role IN ('owner', 'member')", "role"),
)

token = Table(
    "token",
    metadata,
    Column("id", String(12), primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("organization_id", String(32), nullable=False),
    Column("user_id", BigInteger().with_variant(Integer, "sqlite"), nullable=False),
    Column("name", String(100), nullable=False, server_default=""),
    Column("user_agent", Text, nullable=False, server_default=""),
    Column("created", Instant, nullable=False),
    Column("expiry", Instant),
    # Not to organization and user: a token cannot outlive the membership it was given for.
    ForeignKeyConstraint(
        ["organization_id", "user_id"],
        ["membership.organization_id", "membership.user_id"],
        ondelete="CASCADE",
    ),
    Index(None, "organization_id", "user_id"),
    Index(None, "expiry"),
)

child_token = Table(
    "child_token",
    metadata,
    Column("id", String(12), primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    # What the child ends with; whose it is stands there.
    Column("parent_id", ForeignKey("token.id", ondelete="CASCADE"), nullable=False),
    Column("name", String(100), nullable=False, server_default=""),
    Column("created", Instant, nullable=False),
    # Never beyond the parent's.
    Column("expiry", Instant, nullable=False),
    # What it may do: lists are separated by spaces; null: from any origin, or from any address.
    Column("methods", Text, nullable=False),
    Column("paths", Text, nullable=False),
    Column("origin", Text),
    Column("networks", Text),
    Index(None, "parent_id", "expiry"),
    Index(None, "expiry"),
)

token_use = Table(
    "token_use",
    metadata,
    Column("token_id", ForeignKey("token.id", ondelete="CASCADE"), primary_key=True),
    Column("used", Instant, nullable=False),
    Column("address", String(45), nullable=False),
)

change_counter = Table(
    "change_counter",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    # The number of the last change. Whoever takes the next one holds this row to its commit.
    Column("number", BigInteger, nullable=False),
    # Renewed by a restore: what was remembered before it, and its numbers, mean nothing any more.
    Column("epoch", String(32), nullable=False),
    # How long a process may trust its memory after a read, and the lease that is waited for after
    # tokens were ended: the same, except for a moment while it is lowered.
    Column("lease_milliseconds", Integer, nullable=False),
    Column("lease_waited_milliseconds", Integer, nullable=False),
    CheckConstraint("id = 1", "one_row"),
    CheckConstraint("lease_milliseconds BETWEEN 0 AND 60000", "lease"),
    CheckConstraint("lease_waited_milliseconds BETWEEN lease_milliseconds AND 60000", "lease_waited"),
)

change = Table(
    "change",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    # The token whose standing changed; null: whatever is remembered of any token.
    Column("digest", LargeBinary),
    Column("at", Instant, nullable=False),
)

imported_kind = Table(
    "imported_kind",
    metadata,
    # Of which make imported tokens are: whatever is of none of them is refused without being looked up.
    Column("algorithm", String(16), primary_key=True),
    Column("prefix", String(10), primary_key=True),
    Column("characters", Integer, primary_key=True, autoincrement=False),
    # As model/imported.py reads them. Algorithms may be more in a newer version.
    CheckConstraint("characters BETWEEN 32 AND 128 AND characters % 2 = 0", "characters"),
    CheckConstraint("length(prefix) <= 10", "prefix"),
)

imported = Table(
    "imported",
    metadata,
    # Of every token, user and membership that ever was imported, also if it has ended here: it is not brought
    # back by another import. A token's digest, or one that a membership's names make.
    Column("digest", LargeBinary, primary_key=True),
    Column("source", String(16), nullable=False),
)

installation = Table(
    "installation",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    # The oldest server version that can work with this schema.
    Column("oldest_server", String(32), nullable=False),
    CheckConstraint("id = 1", "one_row"),
)

throttle = Table(
    "throttle",
    metadata,
    # Of what is throttled, an account or an address: a digest, so that it tells nothing.
    Column("key", LargeBinary, primary_key=True),
    # When all that was let through will have been made up for (GCRA's theoretical arrival time).
    Column("free_at", Instant, nullable=False),
    Index(None, "free_at"),
)

known_address = Table(
    "known_address",
    metadata,
    # From where a member has logged in before: an IPv4 address, or an IPv6 network of 64 bits.
    Column("organization_id", String(32), primary_key=True),
    Column("user_id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("address", String(64), primary_key=True),
    Column("used", Instant, nullable=False),
    Index(None, "address"),
    ForeignKeyConstraint(
        ["organization_id", "user_id"],
        ["membership.organization_id", "membership.user_id"],
        ondelete="CASCADE",
    ),
)

event = Table(
    "event",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("at", Instant, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("organization_id", String(32)),
    # Who did it: a user (by which token), the operator, somebody unknown, or a server by itself.
    Column("actor", String(16), nullable=False),
    Column("actor_user_id", BigInteger().with_variant(Integer, "sqlite")),
    Column("actor_email", String(254)),
    Column("actor_token_id", String(12)),
    # Whom and which token it was done to. No foreign keys: what was recorded outlives them.
    Column("user_id", BigInteger().with_variant(Integer, "sqlite")),
    Column("email", String(254)),
    Column("token_id", String(12)),
    Column("address", String(64)),
    Column("user_agent", Text),
    Column("request_id", String(64)),
    # JSON: what else there is to know of this kind.
    Column("detail", Text, nullable=False, server_default="{}"),
    # More than 1 where like events were counted together.
    Column("count", Integer, nullable=False, server_default="1"),
    CheckConstraint("actor IN ('user', 'operator', 'anonymous', 'server')", "actor"),
    # Of an organization's events the newest come first, whichever way they are filtered.
    Index(None, "organization_id", "at"),
    Index(None, "organization_id", "kind", "at"),
    Index(None, "organization_id", "email", "at"),
    Index(None, "at"),
    sqlite_autoincrement=True,
)
# What an event tells of a client, until it is erased.
event_client = or_(event.c.address.is_not(None), event.c.user_agent.is_not(None))
Index("event_client_at", event.c.at, sqlite_where=event_client, postgresql_where=event_client)

password_link = Table(
    "password_link",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("user_id", ForeignKey("user.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created", Instant, nullable=False),
    Column("expiry", Instant, nullable=False),
)

session = Table(
    "session",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    # Public: it names the session in lists.
    Column("id", String(12), nullable=False, unique=True),
    Column("organization_id", String(32), nullable=False),
    Column("user_id", BigInteger().with_variant(Integer, "sqlite"), nullable=False, index=True),
    Column("created", Instant, nullable=False),
    Column("used", Instant, nullable=False),
    # When the password was last shown.
    Column("confirmed", Instant, nullable=False),
    Column("expiry", Instant, nullable=False),
    Column("address", String(64), nullable=False, server_default=""),
    Column("user_agent", Text, nullable=False, server_default=""),
    ForeignKeyConstraint(
        ["organization_id", "user_id"],
        ["membership.organization_id", "membership.user_id"],
        ondelete="CASCADE",
    ),
    Index(None, "organization_id", "user_id"),
    Index(None, "expiry"),
)

invitation = Table(
    "invitation",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    # Public: it names the invitation in lists.
    Column("id", String(12), nullable=False, unique=True),
    Column("organization_id", ForeignKey("organization.id", ondelete="CASCADE"), nullable=False),
    Column("email", String(254), nullable=False),
    Column("role", String(16), nullable=False),
    # The owner's e-mail address.
    Column("invited_by", String(254), nullable=False),
    Column("created", Instant, nullable=False),
    Column("expiry", Instant, nullable=False),
    UniqueConstraint("organization_id", "email"),
    CheckConstraint("role IN ('owner', 'member')", "role"),
    Index(None, "expiry"),
)

token_usage = Table(
    "token_usage",
    metadata,
    # How often a token was accepted on a day, counted in days since 1970 in UTC. No foreign keys: the
    # organization's sum goes on when the token has ended.
    Column("organization_id", String(32), primary_key=True),
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("token_id", String(12), primary_key=True),
    Column("uses", BigInteger, nullable=False),
    Index(None, "day"),
)
