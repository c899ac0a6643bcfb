"""Filling a table of what is known, the way reads fill it: for what is measured inside a process."""

import gc
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

from nightlatch.hot.table import Table
from nightlatch.model.change import Snapshot
from nightlatch.model.names import Email, OrganizationId, Role, TokenId, UserId
from nightlatch.model.standing import Identity, Standing
from nightlatch.model.token import TokenDigest

AHEAD_SECONDS: Final = 3600.0
"""Entries are dated so far ahead: measuring takes longer than the minute that they are believed for."""


def header(number: int) -> bytes:
    """An Authorization header as long as a token's. A lookup that hits looks at its digest only."""
    return b"Token nlt_%012d_%049d" % (number, number)


def keep_tokens(table: Table, numbers: range, tokens_per_user: int) -> None:
    """Keep the standing of those tokens; every value is made anew, as a row from the database is."""
    seconds = datetime.now(UTC).timestamp() + AHEAD_SECONDS
    snapshot = Snapshot(table.epoch, table.applied, seconds, 0.25)
    for number in numbers:
        user = number // tokens_per_user
        identity = Identity(
            OrganizationId(f"{user % 2**30:06x}"),
            UserId(10**6 + user),
            Email(f"user{user:07d}@example.com"),
            Role.MEMBER,
        )
        standing = Standing(
            TokenId(f"{number:012d}"), identity, datetime.fromtimestamp(seconds + 1000 + number / 1000, UTC)
        )
        table.keep(TokenDigest(sha256(header(number)[6:]).digest()), standing, snapshot)


def settle() -> None:
    """As a worker does when it has started: what is here stays."""
    gc.collect()
    gc.freeze()
