"""The table of what is known of tokens, bounded, kept current by the numbered changes.

Rules, which the holes H9, H18, H19, H34 and H35 of docs/security.md are about:

* `applied` is the number of the last change that the table knows of. Changes are applied in one
  synchronous step, and only without a gap; after a gap everything is forgotten.
* A read of a token carries the number of its snapshot. It may be kept, and may answer, only if no
  later change of that token has been applied: the recent ones are remembered for that. A read from
  before what is remembered, or of another epoch, counts for nothing.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final, Generic, TypeVar

from nightlatch.hot.known import AGE_SECONDS_MAX, Known, KnownChild, known_as
from nightlatch.model.change import Change, Snapshot
from nightlatch.model.imported import ImportedKind
from nightlatch.model.standing import Standing
from nightlatch.model.token import TokenDigest

RECENT_CHANGES_MAX: Final = 10_000
ABSENT_MAX: Final = 10_000
TOKENS_PER_CHILD: Final = 10
_DIGEST_BYTES: Final = (32, 64)
"""SHA-256 of our own tokens, SHA-512 of imported ones. What else a change may name is not known here."""

_Value = TypeVar("_Value")


class Bounded(Generic[_Value]):
    """A dictionary of at most so many keys; the key that came first goes first."""

    def __init__(self, keys_max: int) -> None:
        self.values: Final[dict[bytes, _Value]] = {}
        self._order: deque[bytes] = deque()
        self._keys_max = keys_max

    def put(self, key: bytes, value: _Value) -> None:
        """Keep the value, in the place of an older one under the same key."""
        if key not in self.values:
            self._order.append(key)
            # A key that was dropped and came again stands in the order twice; that only costs a place.
            if len(self._order) > self._keys_max:
                self.values.pop(self._order.popleft(), None)
        self.values[key] = value

    def drop(self, key: bytes) -> None:
        """Forget the key, if it is there."""
        self.values.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        self.values.clear()
        self._order.clear()


class Table:
    """Digest to what is known of the token: that it is live and whose, or that there is none.

    Child tokens stand apart, a tenth as many: whoever makes any number of them pushes out no token (AV8).
    """

    def __init__(self, tokens_max: int) -> None:
        self._known: Bounded[Known] = Bounded(tokens_max)
        self._children: Bounded[KnownChild] = Bounded(max(1, tokens_max // TOKENS_PER_CHILD))
        self._absent: Bounded[float] = Bounded(ABSENT_MAX)
        self._recent: deque[tuple[int, bytes]] = deque()
        self._recent_numbers: dict[bytes, int] = {}
        self._remembered_from = 0
        self.epoch = ""
        self.applied = 0
        # As the last read of the changes told; true while memory is current.
        self.imported: tuple[ImportedKind, ...] = ()

    @property
    def known(self) -> dict[bytes, Known]:
        """The live tokens by digest; always the same dictionary, for the lookup to hold on to."""
        return self._known.values

    @property
    def children(self) -> dict[bytes, KnownChild]:
        """The live child tokens by digest; always the same dictionary."""
        return self._children.values

    def find(self, digest: bytes) -> Known | KnownChild | None:
        """What is known of the live token with that digest, whichever kind it is of."""
        return self.known.get(digest) or self.children.get(digest)

    def is_absent(self, digest: bytes, database_seconds: float) -> bool:
        """Whether it is known that there is no live token with that digest."""
        return self._absent.values.get(digest, 0.0) > database_seconds

    def start_over(self, snapshot: Snapshot) -> None:
        """Forget everything; what is read from that snapshot on may be kept."""
        self._known.clear()
        self._children.clear()
        self._absent.clear()
        self._recent.clear()
        self._recent_numbers.clear()
        self._remembered_from = snapshot.number
        self.epoch = snapshot.epoch
        self.applied = snapshot.number

    def apply(self, snapshot: Snapshot, changes: Sequence[Change]) -> None:
        """Bring the table to that snapshot, by the changes after `applied`; in one step."""
        numbers = [change.number for change in changes]
        contiguous = numbers == list(range(self.applied + 1, self.applied + 1 + len(numbers)))
        complete = contiguous and self.applied + len(numbers) == snapshot.number
        understood = all(
            change.digest is not None and len(change.digest) in _DIGEST_BYTES for change in changes
        )
        if snapshot.epoch != self.epoch or not complete or not understood:
            self.start_over(snapshot)
            return
        for change in changes:
            if change.digest is not None:
                self._drop(change.number, change.digest)
        self.applied = snapshot.number

    def is_usable(self, digest: TokenDigest, snapshot: Snapshot) -> bool:
        """Whether what a snapshot said of that token still holds, as far as the table knows (H9)."""
        return (
            snapshot.epoch == self.epoch
            and snapshot.number >= self._remembered_from
            and snapshot.number >= self._recent_numbers.get(digest.value, 0)
        )

    def keep(
        self, digest: TokenDigest, standing: Standing | None, snapshot: Snapshot
    ) -> Known | KnownChild | None:
        """Remember what a usable snapshot said of the token; what it is known as, None if absent."""
        if standing is None:
            self._known.drop(digest.value)
            self._children.drop(digest.value)
            self._absent.put(digest.value, snapshot.seconds + AGE_SECONDS_MAX)
            return None
        known = known_as(standing, digest, snapshot.seconds)
        self._absent.drop(digest.value)
        if isinstance(known, KnownChild):
            self._children.put(digest.value, known)
        else:
            self._known.put(digest.value, known)
        return known

    def _drop(self, number: int, digest: bytes) -> None:
        self._known.drop(digest)
        self._children.drop(digest)
        self._absent.drop(digest)
        self._recent.append((number, digest))
        self._recent_numbers[digest] = number
        if len(self._recent) > RECENT_CHANGES_MAX:
            oldest, forgotten = self._recent.popleft()
            self._remembered_from = oldest
            if self._recent_numbers[forgotten] == oldest:
                del self._recent_numbers[forgotten]
