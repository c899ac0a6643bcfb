"""The lease protocol of PostgreSQL (docs/memory.md) as a model small enough to visit every state.

One token, one process that verifies it, one that revokes it, the database between them. A step is
what one of them does without the others being able to come between: the database executes a
statement, a process receives an answer, a request looks at one thing. Any step may be the next one,
after any number of ticks: so a slow, paused, suspended or cut-off process, a full queue and a slow
network need no rules of their own. What is on the way may be lost, a request given up, and the
verifier killed and started, at any time.

Time. A tick is the same moment for everybody, but instants are never compared between processes. How
long ago something was no longer matters once it is longer than the lease; so the model keeps what is
*left* of each span, never below 0, and a finite number of states covers histories without end. A real
clock is read in steps of its own and a little off; the revoker's margin is for that, and not modelled.

* Revocation: one commit ends the token and appends a change row. A change's number is its place in
  `changes`: in order, without gaps. Another token may be changed before or after, so that a number
  alone does not say whether this token was. The revoker waits from when its commit was acknowledged
  to it. A client that lost its answer asks again, whenever and wherever, finds nothing, and is told
  so after the same wait.
* Feed: it notes t0, the database executes the read, and in one step the process applies the rows and
  trusts its memory until t0 + lease. Instead of applying it may clear everything, as it does after
  a gap or an unknown change; loads from an older snapshot are then of no use.
* Load: one statement gives the row and the number of its snapshot. It is kept, and may answer, only
  if no later change of the token was applied; it is kept without a lease too, but answers only with one.
* Request: it looks at the deadline, then at the entry, then at the clock, and is accepted if there is
  an entry and the clock is before the deadline. Everything else may happen between two of these
  looks, which is more than a synchronous lookup allows. Without an entry it starts a load or joins
  the one in flight, and then looks at deadline, loaded row and clock when it is answered itself,
  which may be long after the row arrived. One request at a time is enough: others matter only for
  what they leave behind, an entry or a load in flight, and a request that gives up leaves those.

The promise is that no request is accepted that started after the revocation was acknowledged.
`Ingredient` lists what it rests on. Any one of them can be left out, and then the promise is broken.

Not in the model: failover and the pulse (H11, H21: `failover`), restores (H40), and what becomes of an answer
after the decision (H8). A stopped guest of a hypervisor (H12) is the model without `BOOTTIME`.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

Changes = tuple[bool | None, ...]
"""Change rows by number: True for the revocation, False for another token's, None for one not yet visible."""


class Ingredient(StrEnum):
    """What the promise rests on; under each, what happens where it is left out."""

    WAIT = "the wait"
    """The revoker answers as soon as its commit is acknowledged."""
    LEASE = "the lease"
    """Memory is trusted without end."""
    T0_BEFORE_READ = "t0 before the read"
    """The lease counts from when the rows arrived."""
    FILL_CHECK = "the fill check"
    """A loaded row is kept, and answers, whatever was applied since it was read (H9)."""
    BOOTTIME = "boottime"
    """The verifier's clock stands still while its machine is suspended."""
    LEASE_FOR_FILLS = "the lease for fills"
    """A row just loaded answers without a lease, those who joined the load too (H13)."""
    ROWS_BEFORE_LEASE = "the rows before the lease"
    """The lease is extended in one step and the rows are applied in a later one (H1)."""
    CLOCK_AT_DECISION = "the clock at the decision"
    """The deadline was compared with a 'now' from some time before (H7)."""

    FILL_CHECK_AT_ANSWER = "the fill check at the answer"
    """A loaded row is checked on arrival, and not again for each request that it answers (H13)."""
    DEADLINE_BEFORE_ENTRY = "the deadline before the entry"
    """A request looks at its entry first, and the feed may be applied before it looks at the deadline.

    A lookup that is synchronous, in the thread that applies the feed, leaves no such moment (H7).
    """
    ONE_SNAPSHOT = "one snapshot for row and number"
    """A load reads the row in one statement and the number in the next (H9)."""
    CLEARING_ENDS_FILLS = "clearing ends older fills"
    """Clearing memory forgets what was applied, so that any load may be kept afterwards (H18)."""
    NUMBERS_IN_ORDER = "numbers in order"
    """The revocation draws its number before it commits, so that a later one may be visible first (H18)."""
    NO_OLDER_READ = "no older read"
    """Of two feed reads at once, the one overtaken is used like any other. (Needs `feeds_max` 2.)"""
    WAIT_FROM_ACKNOWLEDGEMENT = "the wait from the acknowledgement"
    """The revoker counts its wait from when it sent the commit."""
    WAIT_WHEN_ASKED_AGAIN = "the wait when asked again"
    """A client that asks again is told at once that there is no such token (H15)."""


class Rules(NamedTuple):
    """A protocol: its spans in ticks, what it lacks, and how much of the world around it is modelled.

    `lag_once_in` n: of any n ticks in a row the verifier's clock may miss one (H6); 0: it misses none.
    `hits_only`: the entry is there from the start, a request looks and is decided in one step, and
    there are no loads, no other token, no losses and no restarts; for leases of many ticks.
    """

    lease: int = 2
    wait: int = 2
    without: Ingredient | None = None
    feeds_max: int = 1
    lag_once_in: int = 0
    hits_only: bool = False


class Feed(NamedTuple):
    """A read of the change rows on its way: what is left of the lease that it gives, and what it saw."""

    lease_left: int
    seen: Changes | None = None


class Load(NamedTuple):
    """A read of the token's row on its way: whether it was there, and the number of the snapshot."""

    live: bool | None = None
    number: int | None = None


class Look(StrEnum):
    """How far a request is."""

    STARTED = "started"
    SAW_FIRST = "saw the first"
    SAW_BOTH = "saw both"
    AWAITS_LOAD = "awaits a load"


class Request(NamedTuple):
    """A request with the token.

    `late`: it started after the acknowledgement. `load`: what it was handed, to decide on in place of
    an entry. `lease_left` belongs to the deadline that it saw; the process may have got another since.
    """

    late: bool
    look: Look = Look.STARTED
    lease_left: int = 0
    load: Load | None = None


class Acceptance(NamedTuple):
    """That the last step accepted a request; if it was `late`, the promise is broken."""

    late: bool
    loaded: bool
    committed: bool
    acknowledged: bool


class State(NamedTuple):
    """Everything at one moment: the database, the revoker, the verifier, and what is on its way.

    `usable_from` is the least number that a load must have to count. `looked_valid` is what an earlier
    look at the clock said of the lease. In `lag_in` ticks the verifier's clock may miss one again.
    """

    changes: Changes = ()
    wait_left: int | None = None
    acknowledged: bool = False

    applied: int = 0
    usable_from: int = 0
    entry: bool = False
    lease_left: int = 0
    looked_valid: bool = False
    lag_in: int = 0

    feeds: tuple[Feed, ...] = ()
    load: Load | None = None
    request: Request | None = None
    accepted: Acceptance | None = None


def initial(rules: Rules) -> State:
    """A token that is live, and a process that has just started."""
    return State(entry=rules.hits_only)


def keeps_promise(state: State) -> bool:
    """Whether the last step did not accept a request that had started after the acknowledgement."""
    return state.accepted is None or not state.accepted.late


def steps(rules: Rules, state: State) -> Iterator[tuple[str, State]]:
    """Whatever may happen next, each with the state after it."""
    if state.accepted:
        state = state._replace(accepted=None)
    yield from _time(rules, state)
    yield from _revocation(rules, state)
    yield from _feed(rules, state)
    if rules.hits_only:
        yield from _hit(rules, state)
        return
    yield from _load(rules, state)
    yield from _request(rules, state)
    yield "the verifier is killed and starts again", _started_again(state)
    if rules.without is Ingredient.CLOCK_AT_DECISION:
        yield "the process looks at the clock", state._replace(looked_valid=state.lease_left > 0)


def _started_again(state: State) -> State:
    """Only the database and the revoker are as they were; what was on the way reaches nobody."""
    return State(
        changes=state.changes, wait_left=state.wait_left, acknowledged=state.acknowledged, lag_in=state.lag_in
    )


def _time(rules: Rules, state: State) -> Iterator[tuple[str, State]]:
    elsewhere = state
    if state.wait_left:
        elsewhere = state._replace(wait_left=state.wait_left - 1)
    request = state.request
    everywhere = elsewhere._replace(
        lease_left=_less(state.lease_left),
        feeds=tuple(Feed(_less(feed.lease_left), feed.seen) for feed in state.feeds),
        request=request and request._replace(lease_left=_less(request.lease_left)),
        lag_in=_less(state.lag_in),
    )
    yield "a tick", everywhere
    if rules.without is Ingredient.BOOTTIME:
        yield "a tick while the verifier is suspended", elsewhere
    if rules.lag_once_in and not state.lag_in:
        yield "a tick that the verifier's clock misses", elsewhere._replace(lag_in=rules.lag_once_in - 1)


def _less(left: int) -> int:
    return left - 1 if left else 0


def _revocation(rules: Rules, state: State) -> Iterator[tuple[str, State]]:
    changes, without = state.changes, rules.without
    if False not in changes and not rules.hits_only:
        yield "another token is changed", state._replace(changes=(*changes, False))
    if True not in changes:
        early_wait = without is Ingredient.WAIT_FROM_ACKNOWLEDGEMENT
        if early_wait and state.wait_left is None:
            yield "the revoker sends its commit", state._replace(wait_left=rules.wait)
        elif without is Ingredient.NUMBERS_IN_ORDER and None not in changes:
            yield "the revocation draws its number", state._replace(changes=(*changes, None))
        else:
            drawn = tuple(change is None or change for change in changes)
            committed = drawn if None in changes else (*changes, True)
            yield "the revocation is committed", state._replace(changes=committed)
        return
    if state.acknowledged:
        return
    wait = 0 if without is Ingredient.WAIT else rules.wait
    if state.wait_left is None:
        yield "the commit is acknowledged to the revoker", state._replace(wait_left=wait)
    elif state.wait_left == 0:
        yield "the revocation is acknowledged", state._replace(acknowledged=True, wait_left=None)
    if without is Ingredient.WAIT_WHEN_ASKED_AGAIN:
        yield "a client that asks again is told", state._replace(acknowledged=True, wait_left=None)
    else:
        yield "a client asks again and finds nothing", state._replace(wait_left=wait)


def _feed(rules: Rules, state: State) -> Iterator[tuple[str, State]]:
    if len(state.feeds) < rules.feeds_max:
        yield "the feed notes t0", state._replace(feeds=(*state.feeds, Feed(rules.lease)))
    for place, feed in enumerate(state.feeds):
        before, after = state.feeds[:place], state.feeds[place + 1 :]
        if not rules.hits_only:
            yield "the feed read is lost", state._replace(feeds=before + after)
        if feed.seen is None:
            read = feed._replace(seen=_visible(state.changes))
            yield "the database reads the changes", state._replace(feeds=(*before, read, *after))
        elif len(feed.seen) >= state.applied or rules.without is Ingredient.NO_OLDER_READ:
            yield from _feed_arrives(rules, state, feed.lease_left, feed.seen, before + after)


def _feed_arrives(
    rules: Rules, state: State, lease_left: int, seen: Changes, others: tuple[Feed, ...]
) -> Iterator[tuple[str, State]]:
    if rules.without is Ingredient.T0_BEFORE_READ:
        lease_left = rules.lease
    extended = state._replace(lease_left=lease_left)
    if rules.without is Ingredient.ROWS_BEFORE_LEASE:
        yield "the feed extends the lease", extended
        extended = state
    received = extended._replace(feeds=others)
    if None not in seen[state.applied :]:
        yield "the feed applies the changes", _applied(received, seen)
    if not rules.hits_only:
        yield "the feed clears memory", _cleared(rules, received, len(seen))


def _visible(changes: Changes) -> Changes:
    """The rows up to the last that is committed; its place is the number that a snapshot has."""
    while changes and changes[-1] is None:
        changes = changes[:-1]
    return changes


def _applied(state: State, seen: Changes) -> State:
    if True not in seen[state.applied :]:
        return state._replace(applied=len(seen))
    return state._replace(applied=len(seen), entry=False, usable_from=seen.index(True) + 1)


def _cleared(rules: Rules, state: State, number: int) -> State:
    usable_from = 0 if rules.without is Ingredient.CLEARING_ENDS_FILLS else number
    return state._replace(applied=number, entry=False, usable_from=usable_from)


def _load(rules: Rules, state: State) -> Iterator[tuple[str, State]]:
    load, request = state.load, state.request
    if load is None:
        return
    if load.live is None:
        number = None if rules.without is Ingredient.ONE_SNAPSHOT else len(_visible(state.changes))
        yield "the database reads the row", state._replace(load=Load(True not in state.changes, number))
    elif load.number is None:
        read = load._replace(number=len(_visible(state.changes)))
        yield "the database reads the number", state._replace(load=read)
    else:
        usable = _is_usable(rules, state, load)
        if usable:
            state = state._replace(entry=load.live)
        if request and request.look is Look.AWAITS_LOAD:
            request = Request(request.late, load=load) if usable else None
        yield "the load arrives", state._replace(load=None, request=request)


def _is_usable(rules: Rules, state: State, load: Load) -> bool:
    if rules.without is Ingredient.FILL_CHECK:
        return True
    return load.number is not None and load.number >= state.usable_from


def _request(rules: Rules, state: State) -> Iterator[tuple[str, State]]:
    request = state.request
    if request is None:
        started = Request(late=state.acknowledged)
        yield f"a request starts{', late' * started.late}", state._replace(request=started)
        return
    yield "the request is given up", state._replace(request=None)
    entry_first = rules.without is Ingredient.DEADLINE_BEFORE_ENTRY
    if request.look is Look.STARTED:
        look = _look_at_entry if entry_first else _look_at_deadline
        yield from look(rules, state, request._replace(look=Look.SAW_FIRST))
    elif request.look is Look.SAW_FIRST:
        look = _look_at_deadline if entry_first else _look_at_entry
        yield from look(rules, state, request._replace(look=Look.SAW_BOTH))
    elif request.look is Look.SAW_BOTH and _has_lease(rules, state, request):
        yield "the request looks at the clock and is accepted", _accepting(state, request)


def _hit(rules: Rules, state: State) -> Iterator[tuple[str, State]]:
    # Who is accepted now, having started at any time after the acknowledgement, would be if they started now.
    request = Request(state.acknowledged, Look.SAW_BOTH, state.lease_left)
    if state.entry and _has_lease(rules, state, request):
        yield "a request starts and is accepted", _accepting(state, request)


def _accepting(state: State, request: Request) -> State:
    accepted = Acceptance(request.late, request.load is not None, True in state.changes, state.acknowledged)
    return state._replace(request=None, accepted=accepted)


def _look_at_deadline(rules: Rules, state: State, request: Request) -> Iterator[tuple[str, State]]:
    looked = request._replace(lease_left=state.lease_left)
    yield "the request looks at the deadline", state._replace(request=looked)


def _look_at_entry(rules: Rules, state: State, request: Request) -> Iterator[tuple[str, State]]:
    load = request.load
    if load is not None:
        unchecked = rules.without is Ingredient.FILL_CHECK_AT_ANSWER
        if load.live and (unchecked or _is_usable(rules, state, load)):
            yield "the request looks at the loaded row", state._replace(request=request)
    elif state.entry:
        yield "the request finds the entry", state._replace(request=request)
    else:
        awaiting = Request(request.late, Look.AWAITS_LOAD)
        step = "starts a load" if state.load is None else "joins the load"
        yield f"the request {step}", state._replace(request=awaiting, load=state.load or Load())


def _has_lease(rules: Rules, state: State, request: Request) -> bool:
    if rules.without is Ingredient.LEASE and request.load is None:
        return True
    if rules.without is Ingredient.LEASE_FOR_FILLS and request.load is not None:
        return True
    if rules.without is Ingredient.CLOCK_AT_DECISION:
        return state.looked_valid
    return request.lease_left > 0
