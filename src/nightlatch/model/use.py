"""The use of a token."""

from dataclasses import dataclass


@dataclass(slots=True)
class Use:
    """When a token was last used, in seconds since 1970 by the database's clock, from where, and how often.

    Not frozen, for whoever gathers uses: a new one for each verification takes longer than the rest of it.
    """

    digest: bytes
    seconds: float
    address: str
    count: int
