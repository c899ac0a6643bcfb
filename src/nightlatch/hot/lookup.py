"""The lookup of a token's standing.

It reads the row each time. The table in memory will stand behind the same call; whoever uses it
must expect an answer that is current at the moment it is given, and nothing weaker.
"""

from nightlatch.model.standing import Standing
from nightlatch.model.token import TokenDigest
from nightlatch.store.store import Store
from nightlatch.store.tokens import find_standing


class Lookup:
    """Tells what is known of a token."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def find(self, digest: TokenDigest) -> Standing | None:
        """The token's standing now, None if it is not live. Raises StoreUnavailable."""
        async with self._store.read() as connection:
            return await find_standing(connection, digest)
