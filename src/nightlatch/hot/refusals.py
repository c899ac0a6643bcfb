"""Refused logins, counted in memory until they are flushed: a refusal writes nothing by itself.

Noting one takes the same time whoever was named, and none of the database's: nobody can tell by it who
exists, and a flood of refusals does not become a flood of writes.
"""

from collections.abc import Mapping
from typing import Final

from nightlatch.model.origin import Origin
from nightlatch.model.refusal import NOTHING_COUNTED, CountedMinute, CountedRefusals, Name, Refusal, Whom

DIFFERENT_MAX: Final = 10_000
"""More different ones than this between two flushes are counted by kind and reason only."""

_NOWHERE: Final = Origin()


class Refusals:
    """The refusals since the last flush, and what earlier flushes have found out about the same ones."""

    def __init__(self) -> None:
        self._counted: dict[Refusal, tuple[Origin, int]] = {}
        self._minute = NOTHING_COUNTED
        self._named: Mapping[Name, Whom] = {}

    def note(self, refusal: Refusal, origin: Origin, count: int = 1) -> None:
        """There was a refusal, from there."""
        if len(self._counted) >= DIFFERENT_MAX and refusal not in self._counted:
            # Of these few exist, however many names and addresses somebody thinks of.
            refusal, origin = Refusal(refusal.kind, refusal.reason, None, None), _NOWHERE
        first, before = self._counted.get(refusal, (origin, 0))
        self._counted[refusal] = (first, before + count)

    @property
    def minute(self) -> CountedMinute:
        """The rows that there were when it was last looked."""
        return self._minute

    @property
    def named(self) -> Mapping[Name, Whom]:
        """Whom names name, as was found out this minute."""
        return self._named

    def see(self, minute: CountedMinute) -> None:
        """These rows there are. With another minute than before it is not known any more whom names name."""
        if not minute.is_same_as(self._minute):
            self._named = {}
        self._minute = minute

    def learn(self, named: Mapping[Name, Whom]) -> None:
        """All that is known of whom names name, unless that is too much to keep."""
        self._named = named if len(named) <= DIFFERENT_MAX else {}

    def forget(self) -> None:
        """Nothing is known any more of what was written."""
        self._minute = NOTHING_COUNTED
        self._named = {}

    def take(self) -> list[CountedRefusals]:
        """What was counted, and start anew."""
        counted, self._counted = self._counted, {}
        return [CountedRefusals(refusal, first, count) for refusal, (first, count) in counted.items()]

    def put_back(self, counted: list[CountedRefusals]) -> None:
        """Keep what could not be flushed."""
        for each in counted:
            self.note(each.refusal, each.first, each.count)
