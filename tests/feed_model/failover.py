"""The lease while PostgreSQL changes its primary (H11, H21, H28), as a model of its own beside `model`.

The old primary P has a synchronous standby S. S is promoted, and P does not notice: it goes on
answering reads and taking commits. What PostgreSQL does, and the model with it:

* A commit on P waits for S. Its record lies in the write-ahead log, which S flushes in order, and only
  until its promotion. The word that S has flushed may take any time to reach P, also until long after the
  promotion. Then the commit is visible on P, and its client gets COMMIT without a warning: it is *clean*.
* The wait may be cancelled, or its connection killed, at any time. The commit becomes visible on P all the
  same, and its client gets a warning or an error, whether S has it or not.
* S begins its own history with what it had flushed. Its commits wait for nobody, which is the worst case.

The rule. A read of the feed on a server with a synchronous standby is one transaction that reads the
changes and writes an empty message, the *pulse*. Only if its commit was clean is the read used: then S
was still a standby at some moment after t0, and what the read saw is in S's history, since it came
before the pulse in the log. Who revokes answers a lease after a clean commit. A client that asks again is
told that there is no such token after a read that found none, its clean pulse, and the same wait.
Whatever else happens, nobody is told anything.

A process may read either server at any time, and clears its memory when the timeline is not that of the
read before. Its loads go to either server as well, without a pulse: what they find may answer, and be kept,
only on the timeline of the feed, with a lease, and under the fill check of `model`.

The promises: nobody is accepted who started after anybody was told that the token is gone; and what was
told, a token's end or a login, S has after the promotion.

One token, one process, one revoker who is waited for; somebody else may revoke meanwhile. Steps, ticks and
what is left of a span are as in `model`. A request takes no time here, as in `lease_change`; one that joins
a load is decided when the load arrives. The lease is one tick. What `model` takes away is not
taken away again.

What a process refuses is no part of the promises: on P it may, for a lease, know less than S. What would
have to be added is modelled too (`Rules.confirmed_absence`).

Not in the model: several standbys, a second failover, and a lowered lease. A read on a server
without a synchronous standby is what S's reads are.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple


class Ingredient(StrEnum):
    """What the promises rest on; under each, what happens where it is left out."""

    PULSE = "the pulse"
    """A read of the feed is used when it arrives."""
    CLEAN_PULSE = "a clean pulse"
    """A read of the feed is used whatever became of its commit."""
    READ_BEFORE_PULSE = "the read before the pulse"
    """The pulse is committed first, and the changes are read afterwards. (Needs `raises`.)"""
    T0_BEFORE_READ = "t0 before the read"
    """The lease counts from when the pulse was confirmed."""
    LEASE = "the lease"
    """A process that reads P trusts its memory without end."""
    CLEARING = "clearing at a new timeline"
    """Memory is kept when the feed moves to the other server. (Needs `revivals`.)"""
    FILLS_TIMELINE = "the timeline of fills"
    """A loaded row is used whichever server it came from."""
    FILLS_LEASE = "the lease for fills"
    """A loaded row answers without a lease."""

    WAIT = "the wait"
    """The revoker answers as soon as its commit is clean."""
    CLEAN_REVOCATION = "a clean revocation"
    """The revoker takes a commit with a warning for a success."""
    WAIT_WHEN_ASKED_AGAIN = "the wait when asked again"
    """A client that asks again is told as soon as the pulse is clean, on S at once."""
    PULSE_WHEN_ASKED_AGAIN = "the pulse when asked again"
    """A client that asks again is told a lease after the read."""
    CLEAN_PULSE_WHEN_ASKED_AGAIN = "a clean pulse when asked again"
    """It is told so whatever became of the pulse's commit."""
    READ_BEFORE_PULSE_WHEN_ASKED_AGAIN = "the read before the pulse when asked again"
    """The pulse is committed first, and the token looked for afterwards."""

    CLEAN_LOGIN = "a clean login"
    """A login whose commit came with a warning is answered with its token. (Needs `login`.)"""


class Rules(NamedTuple):
    """What is left out, and how much of the world is modelled.

    `revivals`: after the promotion somebody moves the expiry of the ended token on P, so that P has a
    live row that S never will. `raises`: the lease is raised from one tick to two, on P. `login`: the token
    does not exist at first. `strict`: lease 0; each request is a read of its own with a pulse, and
    nobody waits. `refusals`: what the process refuses is looked at too; with `confirmed_absence` a load
    that found no token is used only after a read of the feed, on the same server, with a later t0.
    """

    without: Ingredient | None = None
    revivals: bool = False
    raises: bool = False
    login: bool = False
    strict: bool = False
    refusals: bool = False
    confirmed_absence: bool = False


class Record(StrEnum):
    """What a commit writes; each is there once at most, the revocation again after a revival."""

    REVOCATION = "the revocation"
    OTHER = "another token's change"
    REVIVAL = "a revival"
    LOGIN = "the login"
    RAISE = "the raise"
    FEED = "the feed's pulse"
    ASKED = "the revoker's pulse"
    LOAD = "the load's pulse"


CHANGES = (Record.REVOCATION, Record.OTHER, Record.REVIVAL)
OF_THE_TOKEN = (Record.REVOCATION, Record.REVIVAL)
PULSES = (Record.FEED, Record.ASKED, Record.LOAD)

History = tuple[Record, ...]
"""The commits visible on a server, in order, without the pulses."""


class Server(StrEnum):
    """A server, and the timeline that tells it from the other."""

    P = "P"
    S = "S"


class Known(StrEnum):
    """What the process remembers of the token."""

    NOTHING = "nothing"
    LIVE = "live"
    ABSENT = "absent"


class Feed(NamedTuple):
    """A read of the feed on its way: the ticks since t0, what it saw, and whether its pulse is written.

    `after_load`: the load in flight had arrived from the same server before t0 (`confirmed_absence`).
    """

    server: Server
    age: int = 0
    seen: History | None = None
    pulsed: bool = False
    after_load: bool = False


class Load(NamedTuple):
    """A read of the token's row on its way, and what it found.

    `confirmed`: a read of the feed with a later t0 was used. `late`: the request started after somebody
    was told, and `pulsed`: its pulse is written (both `strict`).
    """

    server: Server
    live: bool | None = None
    number: int = 0
    confirmed: bool = False
    late: bool = False
    pulsed: bool = False


class Stage(StrEnum):
    """How far the revoker is."""

    COMMITS = "commits"
    LOOKS = "looks, its pulse confirmed"
    FOUND_NONE = "found no token"
    PULSES = "commits its pulse"
    WAITS = "waits"


class Revoker(NamedTuple):
    """A client's logout on a server, from its commit or its first look to the answer."""

    server: Server
    stage: Stage
    wait_left: int = 0


class State(NamedTuple):
    """Everything at one moment.

    `log`: records on P that S has not flushed. `waiting`: commits on P that are not visible yet.
    `logged_in`: the client has its token. `told`: somebody was told that the token is gone.
    `applied` and `usable_from` are as in `model`. `accepted_late`: a request that started after somebody
    was told was accepted. `refused`: the process refused the token.
    """

    promoted: bool = False
    log: tuple[Record, ...] = ()
    waiting: History = ()
    primary: History = ()
    standby: History = ()

    revoker: Revoker | None = None
    logged_in: bool = True
    told: bool = False

    timeline: Server | None = None
    applied: int = 0
    usable_from: int = 0
    known: Known = Known.NOTHING
    lease_left: int = 0
    feed: Feed | None = None
    load: Load | None = None

    accepted_late: bool = False
    refused: bool = False


def initial(rules: Rules) -> State:
    """P and S are alike, and a process has just started."""
    if rules.login:
        return State(logged_in=False)
    return State(primary=(Record.LOGIN,), standby=(Record.LOGIN,))


def keeps_promise(state: State) -> bool:
    """Whether nobody who started after somebody was told that the token is gone is accepted."""
    return not state.accepted_late and not (state.told and _accepts(state))


def keeps_what_was_told(state: State) -> bool:
    """Whether S has the end of the token and its login, as far as anybody was told of them."""
    if state.told and _is_live(state.standby):
        return False
    return Record.LOGIN in state.standby or not state.logged_in


def keeps_refusals(state: State) -> bool:
    """Whether the process refuses for good, and refuses no token of which nobody asked the end."""
    if state.refused and _accepts(state):
        return False
    ended = Record.REVOCATION in (*state.primary, *state.waiting, *state.standby)
    return ended or not (state.known is Known.ABSENT and state.lease_left)


def _accepts(state: State) -> bool:
    return state.known is Known.LIVE and state.lease_left > 0


def _is_live(history: History) -> bool:
    last = [record for record in history if record in OF_THE_TOKEN or record is Record.LOGIN][-1:]
    return bool(last) and last[0] is not Record.REVOCATION


def _changes(history: History) -> History:
    return tuple(record for record in history if record in CHANGES)


def _lease(rules: Rules, history: History) -> int:
    if rules.strict:
        return 0
    return 2 if Record.RAISE in history else 1


def _history(state: State, server: Server) -> History:
    return state.primary if server is Server.P else state.standby


def _servers(state: State) -> tuple[Server, ...]:
    """Those that answer."""
    return (Server.P, Server.S) if state.promoted else (Server.P,)


def steps(rules: Rules, state: State) -> Iterator[tuple[str, State]]:
    """Whatever may happen next, each with the state after it."""
    yield "a tick", _a_tick_later(rules, state)
    yield from _replication(rules, state)
    yield from _other_commits(rules, state)
    if not state.told:
        yield from _revocation(rules, state)
    if rules.strict:
        yield from _strict_request(rules, state)
        return
    yield from _feed(rules, state)
    yield from _load(rules, state)
    if rules.refusals and state.known is Known.ABSENT and state.lease_left:
        yield "a request is refused", state._replace(refused=True)
    yield "the process is killed and starts again", _started_again(state)


def _a_tick_later(rules: Rules, state: State) -> State:
    longest = 2 if rules.raises else 1  # what is longer ago than that does not matter any more
    revoker, feed = state.revoker, state.feed
    lasts = rules.without is Ingredient.LEASE and state.timeline is Server.P
    return state._replace(
        revoker=revoker and revoker._replace(wait_left=max(revoker.wait_left - 1, 0)),
        lease_left=state.lease_left if lasts else max(state.lease_left - 1, 0),
        feed=feed and feed._replace(age=min(feed.age + 1, longest)),
    )


def _started_again(state: State) -> State:
    kept = state._replace(timeline=None, applied=0, usable_from=0, known=Known.NOTHING, lease_left=0)
    return kept._replace(feed=None, log=_without(state.log, Record.FEED), load=None, refused=False)


def _without(records: tuple[Record, ...], left_out: Record) -> tuple[Record, ...]:
    return tuple(record for record in records if record is not left_out)


def _replication(rules: Rules, state: State) -> Iterator[tuple[str, State]]:
    if not state.promoted:
        if state.log:
            record, *log = state.log
            flushed = state._replace(log=tuple(log))
            if record not in PULSES:
                flushed = flushed._replace(standby=(*state.standby, record))
            yield f"S flushes {record}", flushed
        yield "S is promoted", _tidy(state._replace(promoted=True))
    for record in state.waiting:
        if record not in state.log:
            yield f"{record} is confirmed to P", _visible(rules, state, record, clean=True)
        yield f"the wait for {record} is cancelled", _visible(rules, state, record, clean=False)


def _tidy(state: State) -> State:
    """What S will never flush matters only to who waits for it, and the order not at all."""
    if not state.promoted:
        return state
    log = tuple(sorted(record for record in state.log if record in PULSES or record in state.waiting))
    return state._replace(log=log)


def _written(state: State, record: Record) -> State:
    return _tidy(state._replace(log=(*state.log, record)))


def _sent(state: State, record: Record) -> State:
    """`record` is committed on P, which waits for S before anybody can see it."""
    return _written(state._replace(waiting=(*state.waiting, record)), record)


def _visible(rules: Rules, state: State, record: Record, *, clean: bool) -> State:
    """The commit of `record` becomes visible on P, and its client learns how it went."""
    state = state._replace(waiting=_without(state.waiting, record), primary=(*state.primary, record))
    state = _tidy(state)
    if record is Record.REVIVAL:
        # Whoever was told so, or will be on P, asked before the token was alive again.
        on_s = state.revoker if state.revoker and state.revoker.server is Server.S else None
        state = state._replace(told=False, revoker=on_s, log=_without(state.log, Record.ASKED))
    if record is Record.LOGIN and (clean or rules.without is Ingredient.CLEAN_LOGIN):
        state = state._replace(logged_in=True)
    revoker = state.revoker
    if record is Record.REVOCATION and revoker and revoker.stage is Stage.COMMITS:
        if clean or rules.without is Ingredient.CLEAN_REVOCATION:
            return state._replace(revoker=_waiting(rules, state, Server.P))
        return state._replace(revoker=None)
    return state


def _other_commits(rules: Rules, state: State) -> Iterator[tuple[str, State]]:
    on_p = (*state.primary, *state.waiting)
    # Who commits a numbered change holds the counter's row until the commit is visible.
    counter_is_free = not _changes(state.waiting)
    if Record.LOGIN not in on_p and Record.LOGIN not in state.standby:
        yield "a login on P", _sent(state, Record.LOGIN)
        if state.promoted:
            logged_in = state._replace(logged_in=True, standby=(Record.LOGIN, *state.standby))
            yield "a login on S", logged_in
    is_plain = rules._replace(without=None) == Rules()  # elsewhere it would only make the model larger
    if is_plain and Record.OTHER not in on_p and counter_is_free:
        yield "another token is changed on P", _sent(state, Record.OTHER)
    if rules.raises and Record.RAISE not in on_p:
        yield "the lease is raised on P", _sent(state, Record.RAISE)
    may_revive = rules.revivals and state.promoted and Record.REVIVAL not in on_p and counter_is_free
    if may_revive and not _is_live(state.primary):
        yield "the token's expiry is moved on P", _sent(state, Record.REVIVAL)


def _revocation(rules: Rules, state: State) -> Iterator[tuple[str, State]]:
    revoker = state.revoker
    if _is_live(state.standby) and state.promoted:
        revoked = state._replace(standby=(*state.standby, Record.REVOCATION))
        yield "somebody revokes the token on S", revoked
        if revoker is None:
            waiting = revoked._replace(revoker=_waiting(rules, revoked, Server.S))
            yield "the revoker revokes the token on S", waiting
    if _is_live(state.primary) and not _changes(state.waiting):
        yield "somebody revokes the token on P", _sent(state, Record.REVOCATION)
        if revoker is None:
            committing = state._replace(revoker=Revoker(Server.P, Stage.COMMITS))
            yield "the revoker revokes the token on P", _sent(committing, Record.REVOCATION)
    if revoker is None:
        yield from _asked_again(rules, state)
        return
    given_up = _tidy(state._replace(revoker=None, log=_without(state.log, Record.ASKED)))
    yield "the revocation is given up", given_up
    is_clean = Record.ASKED not in state.log or rules.without is Ingredient.CLEAN_PULSE_WHEN_ASKED_AGAIN
    waiting = state._replace(revoker=_waiting(rules, state, Server.P, asked_again=True))
    if revoker.stage is Stage.WAITS and revoker.wait_left == 0:
        yield f"a client of {revoker.server} is told", state._replace(revoker=None, told=True)
    elif revoker.stage is Stage.FOUND_NONE:
        yield "the revoker's pulse is sent", _asks(state)
    elif revoker.stage is Stage.LOOKS and Record.LOGIN in state.primary and not _is_live(state.primary):
        yield "the revoker finds no token on P", waiting
    elif revoker.stage is Stage.PULSES and is_clean:
        if rules.without is Ingredient.READ_BEFORE_PULSE_WHEN_ASKED_AGAIN:
            waiting = state._replace(revoker=Revoker(Server.P, Stage.LOOKS))
        waiting = waiting._replace(log=_without(state.log, Record.ASKED))
        yield "the revoker's pulse is confirmed", waiting


def _asked_again(rules: Rules, state: State) -> Iterator[tuple[str, State]]:
    if state.promoted and Record.LOGIN in state.standby and not _is_live(state.standby):
        asked = _waiting(rules, state, Server.S, asked_again=True)
        yield "the revoker finds no token on S", state._replace(revoker=asked)
    if rules.without is Ingredient.READ_BEFORE_PULSE_WHEN_ASKED_AGAIN:
        yield "the revoker's pulse is sent", _asks(state)
    elif Record.LOGIN in state.primary and not _is_live(state.primary):
        found_none = Revoker(Server.P, Stage.FOUND_NONE)
        if rules.without is Ingredient.PULSE_WHEN_ASKED_AGAIN:
            found_none = _waiting(rules, state, Server.P, asked_again=True)
        yield "the revoker finds no token on P", state._replace(revoker=found_none)


def _asks(state: State) -> State:
    return _written(state._replace(revoker=Revoker(Server.P, Stage.PULSES)), Record.ASKED)


def _waiting(rules: Rules, state: State, server: Server, *, asked_again: bool = False) -> Revoker:
    left_out = Ingredient.WAIT_WHEN_ASKED_AGAIN if asked_again else Ingredient.WAIT
    wait = 0 if rules.without is left_out else _lease(rules, _history(state, server))
    return Revoker(server, Stage.WAITS, wait)


def _feed(rules: Rules, state: State) -> Iterator[tuple[str, State]]:
    feed = state.feed
    if feed is None:
        for server in _servers(state):
            after_load = rules.confirmed_absence and state.load is not None and state.load.server is server
            noted = state._replace(feed=Feed(server, after_load=after_load))
            yield f"the feed notes t0, to read {server}", noted
        return
    ended = _tidy(state._replace(feed=None, log=_without(state.log, Record.FEED)))
    yield "the read of the feed comes to nothing", ended
    pulses = feed.server is Server.P and rules.without is not Ingredient.PULSE
    pulse_first = rules.without is Ingredient.READ_BEFORE_PULSE
    is_clean = Record.FEED not in state.log or rules.without is Ingredient.CLEAN_PULSE
    if pulses and not feed.pulsed and (pulse_first or feed.seen is not None):
        pulsed = state._replace(feed=feed._replace(pulsed=True))
        yield "the feed's pulse is sent", _written(pulsed, Record.FEED)
    elif feed.seen is None and (is_clean or not pulse_first):
        read = feed._replace(seen=_history(state, feed.server))
        yield f"{feed.server} reads the changes", state._replace(feed=read)
    elif feed.seen is not None and is_clean:
        yield "the read of the feed is used", _used(rules, ended, feed, feed.seen)


def _used(rules: Rules, state: State, feed: Feed, seen: History) -> State:
    age = 0 if rules.without is Ingredient.T0_BEFORE_READ else feed.age
    changes = _changes(seen)
    is_new = state.timeline is not feed.server and rules.without is not Ingredient.CLEARING
    last = max((number for number, change in enumerate(changes, 1) if change in OF_THE_TOKEN), default=0)
    if is_new or state.timeline is None or len(changes) < state.applied:
        state = state._replace(known=Known.NOTHING, usable_from=len(changes))
    elif last > state.applied:
        state = state._replace(known=Known.NOTHING, usable_from=last)
    if state.load and feed.after_load:
        state = state._replace(load=state.load._replace(confirmed=True))
    lease_left = max(_lease(rules, seen) - age, 0)
    return state._replace(timeline=feed.server, applied=len(changes), lease_left=lease_left)


def _load(rules: Rules, state: State) -> Iterator[tuple[str, State]]:
    load = state.load
    if load is None:
        if state.known is Known.NOTHING and state.logged_in:
            for server in _servers(state):
                history = _history(state, server)
                found = Load(server, live=_is_live(history), number=len(_changes(history)))
                yield f"{server} reads the row", state._replace(load=found)
        return
    ended = state._replace(load=None, feed=state.feed and state.feed._replace(after_load=False))
    yield "the load is lost", ended
    if _is_usable(rules, state, load):
        yield "the load is used", _loaded(rules, ended, load)


def _is_usable(rules: Rules, state: State, load: Load) -> bool:
    right_server = load.server is state.timeline or rules.without is Ingredient.FILLS_TIMELINE
    certain = load.live or load.confirmed or not rules.confirmed_absence
    return right_server and load.number >= state.usable_from and certain


def _loaded(rules: Rules, state: State, load: Load) -> State:
    may_answer = state.lease_left > 0 or rules.without is Ingredient.FILLS_LEASE
    accepted_late = bool(load.live) and state.told and may_answer
    return state._replace(known=Known.LIVE if load.live else Known.ABSENT, accepted_late=accepted_late)


def _strict_request(rules: Rules, state: State) -> Iterator[tuple[str, State]]:
    load = state.load
    if load is None:
        for server in _servers(state):
            started = Load(server, late=state.told)
            yield f"a request starts, to read {server}", state._replace(load=started)
        return
    ended = _tidy(state._replace(load=None, log=_without(state.log, Record.LOAD)))
    yield "the request is given up", ended
    pulses = load.server is Server.P and rules.without is not Ingredient.PULSE
    is_clean = Record.LOAD not in state.log or rules.without is Ingredient.CLEAN_PULSE
    if load.live is None:
        read = load._replace(live=_is_live(_history(state, load.server)))
        yield f"{load.server} reads the row", state._replace(load=read)
    elif pulses and not load.pulsed:
        pulsed = state._replace(load=load._replace(pulsed=True))
        yield "the load's pulse is sent", _written(pulsed, Record.LOAD)
    elif is_clean and load.live:
        yield "the request is accepted", ended._replace(accepted_late=load.late)
