"""The use of a token."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Use:
    """When a token was last used, in seconds since 1970 by the database's clock, and from where."""

    digest: bytes
    seconds: float
    address: str
