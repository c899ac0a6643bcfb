"""Whether a history keeps the promises: a pure function of it and of what the database holds at the end.

An ending (logout, revoke, a disabled user, …) has *begun* when it was called, and is *acknowledged*
when it answered that it was done. It surely covers the tokens whose login was acknowledged before
it began, and may cover those whose login overlaps with it. Without an answer it may have happened at
any later time, or not: it covers nothing surely, and whatever is in its scope perhaps, to the end.

The rules, by the name that a violation carries:

    ended accepted     a request that started after an acknowledged ending of its token was accepted
    refused accepted   a token refused as invalid by a process was later accepted by that process; or
                       after an ending had answered that there is no such live token, by any
    login lost         a token was refused as invalid though no ending that may cover it had begun
    over limit         an organization had more tokens that are surely live than its limit
    final state        the database lacks a live token, or still holds an ended one, or one of nobody's
    identity           an acceptance named another user, organization, role, token or expiry
    answer             a status that this call never has, a call that took too long, a login refused
                       for no reason; or, while no fault was near, 503 or no answer at all
"""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from tests.robustness.history import (
    FOREVER,
    OPEN_OUTCOMES,
    SCOPE_ENDINGS,
    SECOND,
    SHUT_OUTS,
    TOKEN_ENDINGS,
    Fault,
    History,
    Kind,
    Operation,
    Outcome,
    identity_text,
)

GRACE_SECONDS = 5.0
"""How long after a fault an answer may still be a late effect of it."""

HTTP_SECONDS_MAX = 15.0
OTHER_SECONDS_MAX = 45.0
UNDISTURBED_VERIFY_SECONDS_MAX = 3.0
CLOSE_NANOSECONDS = 50_000_000

_STATUSES = {
    Kind.VERIFY: {200, 401, 403, 503},
    Kind.LOGIN: {200, 400, 403, 503},
    Kind.LOGOUT: {204, 401, 503},
    Kind.LOGOUTALL: {204, 401, 503},
    Kind.REVOKE: {204, 401, 404, 503},
}
_REINSTATES = {Kind.DISABLE: Kind.ENABLE, Kind.REMOVE_MEMBER: Kind.ADD_MEMBER}
_OUTSIDE_HTTP = {"admin", "cli", "sql"}
_EXAMPLES_MAX = 50


class Rule(StrEnum):
    """What a violation violates."""

    ENDED_ACCEPTED = "ended accepted"
    REFUSED_ACCEPTED = "refused accepted"
    LOGIN_LOST = "login lost"
    OVER_LIMIT = "over limit"
    FINAL_STATE = "final state"
    IDENTITY = "identity"
    ANSWER = "answer"


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken promise, with the operations that show it."""

    rule: Rule
    sentence: str
    operations: tuple[Operation, ...] = ()

    def __str__(self) -> str:
        return " ".join([f"{self.rule}: {self.sentence}", *map(str, self.operations)])


@dataclass(slots=True)
class Findings:
    """The checker's answer."""

    violations: list[Violation] = field(default_factory=list)
    """The first ones of each rule; all are in `violation_counts`."""
    violation_counts: Counter[Rule] = field(default_factory=Counter)
    operations: Counter[tuple[Kind, Outcome]] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    """Those after which everything answered again."""
    close_verifies: int = 0
    """Verifies of an ended token, begun within 50 ms after the acknowledgement, on another process."""
    warm_endings: int = 0
    """Tokens surely ended that at least two processes had accepted before."""

    def add(self, rule: Rule, sentence: str, *operations: Operation) -> None:
        """Note a violation."""
        self.violation_counts[rule] += 1
        if self.violation_counts[rule] <= _EXAMPLES_MAX:
            self.violations.append(Violation(rule, sentence, operations))


@dataclass(slots=True)
class _Life:
    """What the history tells of a token."""

    login: Operation
    begun: int = FOREVER
    """When the first ending that may cover it began."""
    acknowledged: Operation | None = None
    """The first acknowledged ending that surely covers it."""
    acknowledgements: list[Operation] = field(default_factory=list)
    disproved: Operation | None = None
    """The first ending that answered that there is no such live token."""
    refused: dict[int, Operation] = field(default_factory=dict)
    """By process: the first refusal as invalid to have ended."""
    accepted_by: set[int] = field(default_factory=set)


def check(history: History, final: dict[str, str] | None) -> Findings:
    """What is wrong with the history; `final`: the organization of each token that the database holds.

    None leaves the rules about the final state out.
    """
    findings = Findings()
    lives = _lives(history.operations)
    faults = _Faults(history.faults)
    roles = _Roles(history.operations)
    for fault in history.faults:
        findings.faults[fault.kind] += fault.recovered
        if not fault.recovered:
            findings.add(Rule.ANSWER, f"no recovery from: {fault.kind} {fault.detail}")
    for operation in history.operations:
        findings.operations[operation.kind, operation.outcome] += 1
        _check_answer(operation, faults, findings)
        _check_refusal(operation, lives, findings)
    for operation in history.operations:
        _check_acceptance(operation, lives, roles, findings)
    findings.warm_endings = sum(
        life.acknowledged is not None and len(life.accepted_by) > 1 for life in lives.values()
    )
    _check_logins(history.operations, findings)
    _check_limits(history.operations, lives, findings)
    if final is not None:
        _check_final(history.operations, lives, final, findings)
    return findings


def _lives(operations: list[Operation]) -> dict[str, _Life]:
    lives = {
        operation.token: _Life(operation)
        for operation in operations
        if operation.kind is Kind.LOGIN and operation.outcome is Outcome.OK
    }
    scopes: defaultdict[tuple[str, str], list[_Life]] = defaultdict(list)
    for life in lives.values():
        organization, user = life.login.organization, life.login.user
        for scope in ((organization, user), (organization, ""), ("", user)):
            scopes[scope].append(life)
    reinstatements = _by_scope(
        operation
        for operation in operations
        if operation.kind in _REINSTATES.values() and operation.outcome is not Outcome.REFUSED
    )
    for operation in operations:
        if operation.kind in TOKEN_ENDINGS and operation.token in lives:
            _note_ending(operation, lives[operation.token], sure=True)
        elif operation.kind in SCOPE_ENDINGS:
            for life in scopes[operation.organization, operation.user]:
                _note_ending(operation, life, _surely_covers(operation, life.login, reinstatements))
            if operation.kind is Kind.LOGOUTALL and operation.token in lives:
                _note_disproof(operation, lives[operation.token])
    return lives


def _by_scope(operations: Iterable[Operation]) -> dict[tuple[str, str], list[Operation]]:
    found: defaultdict[tuple[str, str], list[Operation]] = defaultdict(list)
    for operation in operations:
        found[operation.organization, operation.user].append(operation)
    return found


def _until(operation: Operation) -> int:
    """Until when it may take effect."""
    return FOREVER if operation.outcome in OPEN_OUTCOMES else operation.end


def _surely_covers(
    ending: Operation, login: Operation, reinstatements: dict[tuple[str, str], list[Operation]]
) -> bool:
    if login.end <= ending.start:
        return True
    if ending.kind not in SHUT_OUTS or login.start >= ending.end:
        return False
    # It overlaps with a shut-out: either its token was there before and ended, or it made none, unless the
    # user was let in again before it was done.
    return not any(
        operation.kind is _REINSTATES.get(ending.kind)
        and operation.start < login.end
        and _until(operation) > ending.start
        for operation in reinstatements.get((ending.organization, ending.user), ())
    )


def _note_ending(ending: Operation, life: _Life, sure: bool) -> None:
    if ending.outcome is Outcome.REFUSED:
        if ending.kind in TOKEN_ENDINGS:
            _note_disproof(ending, life)
        return
    if life.login.start >= _until(ending):
        return
    life.begun = min(life.begun, ending.start)
    if sure and ending.outcome is Outcome.OK:
        life.acknowledgements.append(ending)
        if life.acknowledged is None or ending.end < life.acknowledged.end:
            life.acknowledged = ending


def _note_disproof(ending: Operation, life: _Life) -> None:
    """401 for a logout, 404 for a revocation: given only when no process accepts the token any more."""
    if ending.outcome is not Outcome.REFUSED or ending.status != (404 if ending.kind is Kind.REVOKE else 401):
        return
    if life.disproved is None or ending.end < life.disproved.end:
        life.disproved = ending


def _shows_invalid(operation: Operation) -> bool:
    """Whether the process refused the token that the call showed."""
    return operation.status == 401 and operation.kind in (Kind.VERIFY, Kind.LOGOUT, Kind.LOGOUTALL)


def _check_refusal(operation: Operation, lives: dict[str, _Life], findings: Findings) -> None:
    disproves = _shows_invalid(operation) or (operation.kind is Kind.REVOKE and operation.status == 404)
    if not disproves or operation.token not in lives:
        return
    life = lives[operation.token]
    if life.begun >= operation.end:
        findings.add(
            Rule.LOGIN_LOST, "refused as invalid though nothing had begun to end it", operation, life.login
        )
    if operation.process and _shows_invalid(operation):
        first = life.refused.setdefault(operation.process, operation)
        if operation.end < first.end:
            life.refused[operation.process] = operation


def _check_acceptance(
    operation: Operation, lives: dict[str, _Life], roles: "_Roles", findings: Findings
) -> None:
    if operation.kind not in (Kind.VERIFY, Kind.LOGOUT, Kind.LOGOUTALL):
        return
    life = lives.get(operation.token)
    if operation.kind is Kind.VERIFY and operation.status and life is not None:
        findings.close_verifies += any(
            0 < operation.start - ending.end <= CLOSE_NANOSECONDS and operation.process != ending.process
            for ending in life.acknowledgements
        )
    if operation.outcome is not Outcome.OK:
        return
    if life is None:
        findings.add(Rule.IDENTITY, "accepted a token that no login gave", operation)
        return
    life.accepted_by.add(operation.process)
    if life.acknowledged is not None and life.acknowledged.end < operation.start:
        findings.add(
            Rule.ENDED_ACCEPTED,
            f"accepted {(operation.start - life.acknowledged.end) / SECOND:.6f} s after its end was "
            "acknowledged",
            operation,
            life.acknowledged,
        )
    if life.disproved is not None and life.disproved.end < operation.start:
        findings.add(
            Rule.REFUSED_ACCEPTED, "accepted after it was said not to exist", operation, life.disproved
        )
    refused = life.refused.get(operation.process)
    if refused is not None and refused.end < operation.start:
        findings.add(Rule.REFUSED_ACCEPTED, "accepted by a process that had refused it", operation, refused)
    if operation.kind is Kind.VERIFY and not roles.fit(operation, life.login):
        findings.add(Rule.IDENTITY, "accepted as somebody else", operation, life.login)


class _Roles:
    """Which roles a member may have had during a request."""

    def __init__(self, operations: list[Operation]) -> None:
        self._done: defaultdict[tuple[str, str], list[Operation]] = defaultdict(list)
        self._open: defaultdict[tuple[str, str], list[Operation]] = defaultdict(list)
        for operation in operations:
            if operation.kind in (Kind.SET_ROLE, Kind.ADD_MEMBER):
                known = self._done if operation.outcome is Outcome.OK else self._open
                if operation.outcome is not Outcome.REFUSED:
                    known[operation.organization, operation.user].append(operation)
        self._ends = {}
        for scope, done in self._done.items():
            done.sort(key=lambda operation: operation.end)
            self._ends[scope] = [operation.end for operation in done]

    def fit(self, verify: Operation, login: Operation) -> bool:
        """Whether the identity answered is the token's, with a role that its user may have had then."""
        scope = login.organization, login.user
        return any(
            verify.detail == identity_text(*scope, role, login.token, login.detail)
            for role in self._possible(scope, verify)
        )

    def _possible(self, scope: tuple[str, str], verify: Operation) -> Iterator[str]:
        done = self._done.get(scope, [])
        before = bisect_right(self._ends.get(scope, []), verify.start)
        if before:
            yield done[before - 1].detail
        for operation in done[before:]:
            if operation.start < verify.end:
                yield operation.detail
        if before:
            # Two that overlap may have been committed in the other order.
            last = done[before - 1]
            yield from (other.detail for other in done[: before - 1] if other.end > last.start)
        yield from (
            operation.detail for operation in self._open.get(scope, ()) if operation.start < verify.end
        )


class _Faults:
    """Whether a call may have felt a fault."""

    def __init__(self, faults: list[Fault]) -> None:
        self._faults = faults

    def near(self, operation: Operation) -> bool:
        """A verify may be disturbed by faults of its own node only; whatever writes, by all (locks)."""
        grace = int(GRACE_SECONDS * SECOND)
        return any(
            fault.start < operation.end
            and operation.start < fault.end + grace
            and (
                not fault.nodes
                or operation.node in fault.nodes
                or operation.kind not in (Kind.VERIFY, Kind.CONNECT)
            )
            for fault in self._faults
        )


def _check_answer(operation: Operation, faults: _Faults, findings: Findings) -> None:
    outside_http = operation.node in _OUTSIDE_HTTP
    seconds = (operation.end - operation.start) / SECOND
    if seconds > (OTHER_SECONDS_MAX if outside_http else HTTP_SECONDS_MAX):
        findings.add(Rule.ANSWER, f"took {seconds:.1f} s", operation)
    elif (
        operation.kind is Kind.VERIFY
        and seconds > UNDISTURBED_VERIFY_SECONDS_MAX
        and not faults.near(operation)
    ):
        findings.add(Rule.ANSWER, f"took {seconds:.1f} s while no fault was near", operation)
    allowed = _STATUSES.get(operation.kind)
    if allowed is not None and not outside_http and operation.status not in {0, *allowed}:
        findings.add(Rule.ANSWER, f"was answered {operation.status}", operation)
    if operation.outcome in OPEN_OUTCOMES and not faults.near(operation):
        findings.add(Rule.ANSWER, f"was {operation.outcome} while no fault was near", operation)


def _check_logins(operations: list[Operation], findings: Findings) -> None:
    """The right password is refused only where something may have shut its user out."""
    shut_outs = _by_scope(
        operation
        for operation in operations
        if operation.kind in SHUT_OUTS and operation.outcome is not Outcome.REFUSED
    )
    first = {scope: min(one.start for one in found) for scope, found in shut_outs.items()}
    for operation in operations:
        if operation.kind is Kind.LOGIN and operation.status == 400:
            organization, user = operation.organization, operation.user
            scopes = ((organization, user), (organization, ""), ("", user))
            if min(first.get(scope, FOREVER) for scope in scopes) >= operation.end:
                findings.add(Rule.ANSWER, "refused a password that fits", operation)


def _limits(operations: list[Operation]) -> dict[str, int]:
    return {
        operation.organization: int(operation.detail)
        for operation in operations
        if operation.kind is Kind.OPEN
    }


def _check_limits(operations: list[Operation], lives: dict[str, _Life], findings: Findings) -> None:
    limits = _limits(operations)
    steps: defaultdict[str, list[tuple[int, int, Operation]]] = defaultdict(list)
    for life in lives.values():
        if life.login.end < life.begun:
            steps[life.login.organization].append((life.login.end, 1, life.login))
            steps[life.login.organization].append((life.begun, -1, life.login))
    for organization, found in steps.items():
        live = 0
        for _, step, login in sorted(found, key=lambda each: each[:2]):
            live += step
            if step == 1 and live > limits[organization]:
                findings.add(Rule.OVER_LIMIT, f"{live} tokens are live, {limits[organization]} may be", login)


def _check_final(
    operations: list[Operation], lives: dict[str, _Life], final: dict[str, str], findings: Findings
) -> None:
    for token, life in lives.items():
        if token in final and life.acknowledged is not None:
            findings.add(Rule.FINAL_STATE, "an ended token is still there", life.login, life.acknowledged)
        elif token in final and life.disproved is not None:
            findings.add(Rule.FINAL_STATE, "a token said not to exist is there", life.login, life.disproved)
        if token not in final and life.begun == FOREVER:
            findings.add(Rule.FINAL_STATE, "an acknowledged login is missing", life.login)
        if token in final and final[token] != life.login.organization:
            findings.add(Rule.FINAL_STATE, f"it belongs to organization {final[token]}", life.login)
    doubtful = Counter(
        operation.organization
        for operation in operations
        if operation.kind is Kind.LOGIN and operation.outcome in OPEN_OUTCOMES
    )
    strangers = Counter(organization for token, organization in final.items() if token not in lives)
    for organization, count in strangers.items():
        if count > doubtful[organization]:
            findings.add(Rule.FINAL_STATE, f"organization {organization} holds {count} tokens of nobody's")
    limits = _limits(operations)
    for organization, count in Counter(final.values()).items():
        if organization in limits and count > limits[organization]:
            findings.add(
                Rule.OVER_LIMIT, f"organization {organization} holds {count}, {limits[organization]} may be"
            )
