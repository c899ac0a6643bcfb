"""Uses of tokens, gathered in memory until they are flushed."""

from nightlatch.clock import Clock
from nightlatch.model.names import TokenId
from nightlatch.store.token_use import Use

TOKENS_MAX = 100_000
"""More tokens than this between two flushes: further ones go unrecorded, memory stays bounded."""


class Uses:
    """The latest use of each token since the last flush."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._latest: dict[TokenId, tuple[float, str]] = {}

    def note(self, token_id: TokenId, address: str) -> None:
        """A token was just used from that address."""
        if token_id in self._latest or len(self._latest) < TOKENS_MAX:
            self._latest[token_id] = (self._clock.elapsed_seconds(), address)

    def take(self) -> list[Use]:
        """What was gathered, and start anew."""
        gathered, self._latest = self._latest, {}
        now = self._clock.elapsed_seconds()
        return [Use(token_id, now - moment, address) for token_id, (moment, address) in gathered.items()]

    def put_back(self, uses: list[Use]) -> None:
        """Keep what could not be flushed, except where something newer is known."""
        now = self._clock.elapsed_seconds()
        for use in uses:
            if len(self._latest) < TOKENS_MAX:
                self._latest.setdefault(use.token_id, (now - use.age_seconds, use.address))
