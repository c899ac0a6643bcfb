"""Uses of tokens, gathered in memory until they are flushed."""

from nightlatch.model.use import Use

TOKENS_MAX = 100_000
"""More tokens than this between two flushes: further ones go unrecorded, memory stays bounded."""


class Uses:
    """The latest use of each token since the last flush, and how many there were."""

    def __init__(self) -> None:
        self._gathered: dict[bytes, Use] = {}

    def note(self, digest: bytes, seconds: float, address: str) -> None:
        """The token with that digest was just used, at that time of the database, from that address."""
        # Of the ways to write this the quickest: most uses are of tokens that were used just before.
        try:
            use = self._gathered[digest]
        except KeyError:
            if len(self._gathered) < TOKENS_MAX:
                self._gathered[digest] = Use(digest, seconds, address, 1)
        else:
            use.seconds = seconds
            use.address = address
            use.count += 1

    def take(self) -> list[Use]:
        """What was gathered, and start anew."""
        gathered, self._gathered = self._gathered, {}
        return list(gathered.values())

    def put_back(self, uses: list[Use]) -> None:
        """Keep what could not be flushed: counts add up, and the newer of two last uses stays."""
        for use in uses:
            newer = self._gathered.get(use.digest)
            if newer is not None:
                newer.count += use.count
            elif len(self._gathered) < TOKENS_MAX:
                self._gathered[use.digest] = use
