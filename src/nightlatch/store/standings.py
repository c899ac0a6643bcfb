"""The read that fills memory: a token's standing, together with the snapshot it was true in.

Child tokens are read here like any other.
"""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, LargeBinary, Text, cast, null, select, true, union_all

from nightlatch.model.change import Snapshot
from nightlatch.model.standing import Standing
from nightlatch.model.token import TokenDigest
from nightlatch.store.child_tokens import CHILD_STANDING, read_child_row
from nightlatch.store.connection import Connection
from nightlatch.store.pulse import database_pulse
from nightlatch.store.snapshots import SNAPSHOT, read_snapshot
from nightlatch.store.tables import change_counter
from nightlatch.store.tokens import STANDING, read_row

# A token has no parent and no scope.
_OF_CHILD: Final[tuple[ColumnElement[Any], ...]] = (
    cast(null(), LargeBinary).label("parent_digest"),
    *(cast(null(), Text).label(name) for name in ("methods", "paths", "origin", "networks")),
)
_STANDING: Final = union_all(STANDING.add_columns(*_OF_CHILD), CHILD_STANDING).subquery("standing")
# One statement, hence one snapshot: the number says which changes the row has seen (H9).
_READ: Final = select(*SNAPSHOT, *_STANDING.c).select_from(
    change_counter.outerjoin(_STANDING, onclause=true())
)
_READ_ALONE: Final = _READ.add_columns(database_pulse())


@dataclass(frozen=True, slots=True)
class StandingRead:
    """A token's standing (None: not live) in a snapshot."""

    standing: Standing | None
    snapshot: Snapshot


async def read_standing(connection: Connection, digest: TokenDigest, alone: bool = False) -> StandingRead:
    """What the database says of the token; to be trusted only beside a lease of the same epoch.

    With `alone` it can be trusted without one: then a primary that was deposed before raises, too.
    Raises StoreUnavailable for a standby.
    """
    row = (await connection.execute(_READ_ALONE if alone else _READ, {"digest": digest.value})).one()
    snapshot = read_snapshot(row.epoch, row.head, row.now.timestamp(), row.lease_milliseconds)
    if row.id is None:
        return StandingRead(None, snapshot)
    return StandingRead(read_row(row) if row.parent_digest is None else read_child_row(row), snapshot)
