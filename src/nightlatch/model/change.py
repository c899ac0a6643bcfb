"""The change feed: what happened to tokens' standing, numbered in the order in which it became visible."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of the database that one statement saw.

    `number` is that of the last change in it, `seconds` the database's time since 1970,
    `lease_seconds` how long memory may be trusted after a read (0: not at all). Two snapshots of one
    `epoch` come from one history of the same primary; a restore or a failover begins another.
    """

    epoch: str
    number: int
    seconds: float
    lease_seconds: float


@dataclass(frozen=True, slots=True)
class Change:
    """A change of one token's standing, or with None for its digest of any token's."""

    number: int
    digest: bytes | None
