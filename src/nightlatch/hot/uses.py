"""Uses of tokens, gathered in memory until they are flushed."""

from nightlatch.model.use import Use

TOKENS_MAX = 100_000
"""More tokens than this between two flushes: further ones go unrecorded, memory stays bounded."""


class Uses:
    """The latest use of each token since the last flush."""

    def __init__(self) -> None:
        self._latest: dict[bytes, tuple[float, str]] = {}

    def note(self, digest: bytes, seconds: float, address: str) -> None:
        """The token with that digest was just used, at that time of the database, from that address."""
        latest = self._latest
        if len(latest) < TOKENS_MAX or digest in latest:
            latest[digest] = (seconds, address)

    def take(self) -> list[Use]:
        """What was gathered, and start anew."""
        gathered, self._latest = self._latest, {}
        return [Use(digest, seconds, address) for digest, (seconds, address) in gathered.items()]

    def put_back(self, uses: list[Use]) -> None:
        """Keep what could not be flushed, except where something newer is known."""
        for use in uses:
            if len(self._latest) < TOKENS_MAX:
                self._latest.setdefault(use.digest, (use.seconds, use.address))
