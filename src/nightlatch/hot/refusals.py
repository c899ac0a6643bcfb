"""Refused logins, counted in memory until they are flushed: a refusal writes nothing by itself.

Noting one takes the same time whoever was named, and none of the database's: nobody can tell by it who
exists, and a flood of refusals does not become a flood of writes.
"""

from typing import Final

from nightlatch.model.origin import Origin
from nightlatch.model.refusal import CountedRefusals, Refusal

DIFFERENT_MAX: Final = 10_000
"""More different ones than this between two flushes are counted by kind and reason only."""

_NOWHERE: Final = Origin()


class Refusals:
    """The refusals since the last flush."""

    def __init__(self) -> None:
        self._counted: dict[Refusal, tuple[Origin, int]] = {}

    def note(self, refusal: Refusal, origin: Origin, count: int = 1) -> None:
        """There was a refusal, from there."""
        if len(self._counted) >= DIFFERENT_MAX and refusal not in self._counted:
            # Of these few exist, however many names and addresses somebody thinks of.
            refusal, origin = Refusal(refusal.kind, refusal.reason, None, None), _NOWHERE
        first, before = self._counted.get(refusal, (origin, 0))
        self._counted[refusal] = (first, before + count)

    def take(self) -> list[CountedRefusals]:
        """What was counted, and start anew."""
        counted, self._counted = self._counted, {}
        return [CountedRefusals(refusal, first, count) for refusal, (first, count) in counted.items()]

    def put_back(self, counted: list[CountedRefusals]) -> None:
        """Keep what could not be flushed."""
        for each in counted:
            self.note(each.refusal, each.first, each.count)
