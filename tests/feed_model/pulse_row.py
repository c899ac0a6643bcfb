"""The alternative to a pulse in each read of the feed (`failover`): one shared row that proves S a standby.

The row on the old primary P holds `proposed` and `confirmed`. Somebody commits proposed = n where it was
n - 1, and after a clean commit confirmed = n, in a commit that nobody waits for. A process only reads both
together with its changes, and its lease starts at t0 of its last read whose proposed was at most the
confirmed just read, less 2.

Why 2. Proposal n - 1 may lie flushed on S, not yet visible on P, while a process notes t0, S is promoted,
and the word that it was flushed arrives at last. Proposal n cannot: nobody could write it before n - 1
was visible. So if proposed was n - 2 at the read and n is confirmed, n was flushed after t0.

A process that reads P and knows the token, and a revocation on S: how a process moves to S, loads and
revocations on P are `failover`'s concern. Steps, ticks and clean commits are as there. There are only
so many pulses; the differences matter and not the numbers.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple


class Ingredient(StrEnum):
    """What the row rests on; under each, what happens where it is left out."""

    CLEAN_PROPOSAL = "a clean proposal"
    """A proposal is confirmed whatever became of its commit."""
    IN_ORDER = "one proposal at a time"
    """The next is written before the one before it is visible."""


class Rules(NamedTuple):
    """A read's t0 counts if its proposed is `behind` the confirmed, or more; the lease is in ticks."""

    lease: int = 2
    behind: int = 2
    pulses_max: int = 5
    without: Ingredient | None = None


class Read(NamedTuple):
    """A read of the row on its way: what is left of its lease, and what it saw once it has been made."""

    left: int
    proposed: int | None = None
    confirmed: int = 0


class Unproved(NamedTuple):
    """A read whose lease counts from when a confirmed is read that is far enough ahead of `proposed`."""

    proposed: int
    left: int


class State(NamedTuple):
    """Everything at one moment.

    `unseen`: the proposals that are not visible yet, each with whether S has flushed it. `clean`: the
    last that may be confirmed. `told`: the revocation on S was answered.
    """

    promoted: bool = False
    proposed: int = 0
    unseen: tuple[bool, ...] = ()
    clean: int = 0
    confirmed: int = 0

    wait_left: int | None = None
    told: bool = False

    read: Read | None = None
    unproved: tuple[Unproved, ...] = ()
    lease_left: int = 0


def keeps_promise(state: State) -> bool:
    """Whether a process that goes on reading P accepts nothing once the revocation on S was answered."""
    return not (state.told and state.lease_left)


def steps(rules: Rules, state: State) -> Iterator[tuple[str, State]]:
    """Whatever may happen next, each with the state after it."""
    yield "a tick", _a_tick_later(state)
    yield from _pulses(rules, state)
    yield from _revocation(rules, state)
    yield from _reads(rules, state)


def _a_tick_later(state: State) -> State:
    read = state.read
    unproved = tuple(Unproved(proposed, left - 1) for proposed, left in state.unproved if left > 1)
    return state._replace(
        wait_left=state.wait_left and state.wait_left - 1,
        read=read and read._replace(left=max(read.left - 1, 0)),
        unproved=unproved,
        lease_left=max(state.lease_left - 1, 0),
    )


def _pulses(rules: Rules, state: State) -> Iterator[tuple[str, State]]:
    unseen, number = state.unseen, state.proposed + 1
    may_propose = not unseen or rules.without is Ingredient.IN_ORDER
    if may_propose and state.proposed + len(unseen) < rules.pulses_max:
        yield "the next pulse is proposed", state._replace(unseen=(*unseen, False))
    if not all(unseen) and not state.promoted:
        flushed = unseen.count(True) + 1
        after = tuple(place < flushed for place in range(len(unseen)))
        yield "S flushes a proposal", state._replace(unseen=after)
    if unseen:
        visible = state._replace(proposed=number, unseen=unseen[1:])
        clean = visible._replace(clean=number)
        if unseen[0]:
            yield f"proposal {number} is confirmed to P", clean
        cancelled = clean if rules.without is Ingredient.CLEAN_PROPOSAL else visible
        yield f"the wait for proposal {number} is cancelled", cancelled
    if state.clean > state.confirmed:
        yield f"confirmed is {state.clean}", state._replace(confirmed=state.clean)


def _revocation(rules: Rules, state: State) -> Iterator[tuple[str, State]]:
    if not state.promoted:
        yield "S is promoted", state._replace(promoted=True)
    elif state.wait_left is None:
        yield "the token is revoked on S", state._replace(wait_left=rules.lease)
    elif state.wait_left == 0:
        yield "the revocation is answered", state._replace(told=True)


def _reads(rules: Rules, state: State) -> Iterator[tuple[str, State]]:
    read = state.read
    if read is None:
        yield "the process notes t0", state._replace(read=Read(rules.lease))
        return
    yield "the read is lost", state._replace(read=None)
    if read.proposed is None:
        seen = read._replace(proposed=state.proposed, confirmed=state.confirmed)
        yield "P reads the row and the changes", state._replace(read=seen)
    else:
        proved = read.confirmed - rules.behind
        # Of several reads with the same proposed, the last gives the longest lease.
        unproved = {**dict(state.unproved), read.proposed: read.left}
        lease_left = max(
            [state.lease_left, *(left for proposed, left in unproved.items() if proposed <= proved)]
        )
        kept = tuple(Unproved(*item) for item in unproved.items() if item[0] > proved and item[1])
        yield "the process uses the read", state._replace(read=None, unproved=kept, lease_left=lease_left)
