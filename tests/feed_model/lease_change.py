"""How the lease is changed while processes use it (H41), as a model of its own beside `model`.

The database holds two values. `lease` is for the feed: a process takes the one that stands in the
same snapshot as the rows that it applies. `lease_waited` is for the revoker. The promise needs the
revoker to wait at least as long as any lease that began before its commit.

* Raising is one commit. A read that gives the longer lease sees the raise, hence every revocation from
  before it; revocations after it wait for the longer one. While a lowering is half done,
  `lease_waited` may be more than the new lease, and then it has to stay.
* Lowering is two commits: one for `lease`, and when every longer lease has run out, one for
  `lease_waited`. What may still run out is not the old `lease` but the old `lease_waited`, since an
  earlier lowering may have been killed between its two steps.
* The second step counts only if no other value was in force since the first: where the lease was
  raised and lowered again it looks the same, but longer ones have begun.
* The revoker takes `lease_waited` under the lock of its own commit, or at any time after it. Never
  before: there might be a raise in between.

One process whose memory knows the token, one revoker, and operators who change the lease as often as
they like, or are killed half-way. Steps, ticks and what is on its way are as in `model`. A request
takes no time here: who is accepted now, whenever they started after the acknowledgement, would be if
they started now. Clocks run alike; the factor of 1.1 is `model`'s concern.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple


class Ingredient(StrEnum):
    """What a change of the lease rests on; under each, what happens where it is left out."""

    TWO_STEPS = "lowering in two steps"
    """Lowering sets both values in one commit."""
    OLD_WAITED = "the wait for the old lease_waited"
    """Between the two steps a lowering waits for the `lease` that it found."""
    UNDISTURBED = "a second step only if undisturbed"
    """The second step is made although the lease was something else since the first."""
    RAISE_KEEPS_MORE = "a raise keeps a longer lease_waited"
    """Raising sets both values to the new lease."""
    NOT_BEFORE_COMMIT = "lease_waited not from before the commit"
    """The revoker takes `lease_waited`, then commits."""


class Rules(NamedTuple):
    """The leases that operators choose from, what is left out, and when `lease_waited` is taken.

    `under_lock`: within the commit; otherwise by a statement after it was acknowledged.
    """

    leases: tuple[int, ...] = (1, 2, 3)
    without: Ingredient | None = None
    under_lock: bool = True


class Feed(NamedTuple):
    """A read on its way: how long ago t0 was, and what the snapshot said once there is one."""

    age: int = 0
    revoked: bool = False
    lease: int | None = None


class SecondStep(NamedTuple):
    """What a lowering still has to do: set `lease_waited`, when `left` has passed."""

    lease_waited: int
    left: int


class State(NamedTuple):
    """Everything at one moment; `since` is how long ago the revoker's commit was acknowledged to it."""

    lease: int
    lease_waited: int
    second_step: SecondStep | None = None

    revoked: bool = False
    waits: int | None = None
    since: int | None = None
    acknowledged: bool = False

    entry: bool = True
    lease_left: int = 0
    feed: Feed | None = None


def initial(rules: Rules) -> State:
    """The longest lease is in force, the token live, and the process has no lease yet."""
    longest = max(rules.leases)
    return State(lease=longest, lease_waited=longest)


def keeps_promise(state: State) -> bool:
    """Whether a request that started now would be refused, if the revocation was acknowledged."""
    return not (state.acknowledged and state.entry and state.lease_left)


def steps(rules: Rules, state: State) -> Iterator[tuple[str, State]]:
    """Whatever may happen next, each with the state after it."""
    yield "a tick", _a_tick_later(rules, state)
    yield from _operators(rules, state)
    yield from _revocation(rules, state)
    yield from _feed(state)


def _a_tick_later(rules: Rules, state: State) -> State:
    longest = max(rules.leases)  # what is longer ago than that does not matter any more
    feed, second_step = state.feed, state.second_step
    return state._replace(
        second_step=second_step and second_step._replace(left=max(second_step.left - 1, 0)),
        since=None if state.since is None else min(state.since + 1, longest),
        lease_left=max(state.lease_left - 1, 0),
        feed=feed and feed._replace(age=min(feed.age + 1, longest)),
    )


def _operators(rules: Rules, state: State) -> Iterator[tuple[str, State]]:
    for lease in rules.leases:
        if lease > state.lease:
            yield f"the lease is raised to {lease}", _raised(rules, state, lease)
        elif rules.without is Ingredient.TWO_STEPS:
            yield f"the lease is lowered to {lease}", state._replace(lease=lease, lease_waited=lease)
        else:
            yield f"the lease is lowered to {lease}, first step", _lowered(rules, state, lease)
    second_step = state.second_step
    if second_step is None:
        return
    yield "who lowers the lease is killed", state._replace(second_step=None)
    # The table has a constraint that lease_waited is not less than lease.
    if second_step.left == 0 and second_step.lease_waited >= state.lease:
        done = state._replace(lease_waited=second_step.lease_waited, second_step=None)
        yield f"lease_waited is lowered to {second_step.lease_waited}, second step", done


def _raised(rules: Rules, state: State, lease: int) -> State:
    lease_waited = max(lease, state.lease_waited)
    if rules.without is Ingredient.RAISE_KEEPS_MORE:
        lease_waited = lease
    second_step = state.second_step if rules.without is Ingredient.UNDISTURBED else None
    return state._replace(lease=lease, lease_waited=lease_waited, second_step=second_step)


def _lowered(rules: Rules, state: State, lease: int) -> State:
    second_step = state.second_step
    goes_on = lease == state.lease or rules.without is Ingredient.UNDISTURBED
    if second_step is None or not goes_on:
        # Of two lowerings that may go on, only the first to be done could do harm; the other is left out.
        old = state.lease if rules.without is Ingredient.OLD_WAITED else state.lease_waited
        second_step = SecondStep(lease, old)
    return state._replace(lease=lease, second_step=second_step)


def _revocation(rules: Rules, state: State) -> Iterator[tuple[str, State]]:
    taken = state._replace(waits=state.lease_waited)
    before_commit = rules.without is Ingredient.NOT_BEFORE_COMMIT
    if not state.revoked:
        if before_commit and state.waits is None:
            yield "the revoker takes lease_waited", taken
        elif before_commit or not rules.under_lock:
            yield "the revocation is committed", state._replace(revoked=True)
        else:
            yield "the revocation is committed and lease_waited taken", taken._replace(revoked=True)
    elif state.since is None:
        yield "the commit is acknowledged to the revoker", state._replace(since=0)
    elif state.waits is None:
        yield "the revoker takes lease_waited", taken
    elif state.since >= state.waits and not state.acknowledged:
        yield "the revocation is acknowledged", state._replace(acknowledged=True)


def _feed(state: State) -> Iterator[tuple[str, State]]:
    feed = state.feed
    if feed is None:
        yield "the feed notes t0", state._replace(feed=Feed())
        return
    yield "the feed read is lost", state._replace(feed=None)
    if feed.lease is None:
        read = feed._replace(revoked=state.revoked, lease=state.lease)
        yield "the database reads changes and lease", state._replace(feed=read)
    else:
        applied = state._replace(feed=None, entry=state.entry and not feed.revoked)
        yield "the feed applies them", applied._replace(lease_left=max(feed.lease - feed.age, 0))
