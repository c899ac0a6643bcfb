"""The checker finds each kind of broken promise in a small history, and none in a sound one."""

from pathlib import Path
from typing import Any, Self

import pytest

from tests.robustness.check import Findings, Rule, check
from tests.robustness.history import (
    SHUT_OUTS,
    Fault,
    History,
    HistoryWriter,
    Kind,
    Operation,
    Outcome,
    identity_text,
    read_operations,
)

MILLISECOND = 1_000_000
ANN = "ann@example.com"
EXPIRY = "2030-01-01T00:00:00.000000Z"
_OUTCOMES = {200: Outcome.OK, 204: Outcome.OK, 503: Outcome.UNAVAILABLE, 0: Outcome.UNKNOWN}


class Story:
    """A history told in milliseconds: organization acme with limit 2, whose member is Ann."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.faults: list[Fault] = []
        self.call(Kind.OPEN, -20, -19, organization="acme", detail="2")
        self.call(Kind.ADD_MEMBER, -18, -17, organization="acme", user=ANN, detail="member")

    def call(
        self,
        kind: Kind,
        start: float,
        end: float,
        outcome: Outcome = Outcome.OK,
        status: int = 0,
        process: int = 1,
        node: str = "admin",
        **names: Any,
    ) -> Self:
        """Any call."""
        instants = int(start * MILLISECOND), int(end * MILLISECOND)
        number = len(self.operations)
        self.operations.append(Operation(0, number, kind, *instants, node, process, outcome, status, **names))
        return self

    def http(
        self, kind: Kind, token: str, start: float, end: float, status: int, process: int = 1, **names: Any
    ) -> Self:
        """A call over HTTP; status 0: no answer came."""
        outcome = _OUTCOMES.get(status, Outcome.REFUSED)
        return self.call(kind, start, end, outcome, status, process, f"node{process}", token=token, **names)

    def login(self, token: str, start: float = 0, end: float = 1, status: int = 200) -> Self:
        """Ann logs in."""
        detail = EXPIRY if status == 200 else ""
        return self.http(Kind.LOGIN, token, start, end, status, organization="acme", user=ANN, detail=detail)

    def verify(
        self, token: str, start: float, status: int = 200, process: int = 1, end: float = 0, **names: Any
    ) -> Self:
        """It takes 1 ms, and names Ann as a member, unless told otherwise."""
        identity = identity_text(
            names.get("organization", "acme"),
            names.get("user", ANN),
            names.get("role", "member"),
            names.get("shown", token),
            names.get("expiry", EXPIRY),
        )
        detail = identity if status == 200 else ""
        return self.http(Kind.VERIFY, token, start, end or start + 1, status, process, detail=detail)

    def logout(self, token: str, start: float, end: float, status: int = 204, process: int = 1) -> Self:
        """Ann logs out."""
        return self.http(Kind.LOGOUT, token, start, end, status, process)

    def scope(self, kind: Kind, start: float, end: float, outcome: Outcome = Outcome.OK) -> Self:
        """What ends or lets in Ann, or everybody in acme."""
        organization = "" if kind in (Kind.PASSWORD, Kind.DISABLE, Kind.ENABLE) else "acme"
        user = "" if kind is Kind.CLOSE else ANN
        shown = ""
        if kind is Kind.LOGOUTALL:
            shown = "shown"
            self.login(shown, -10, -9)
        return self.call(kind, start, end, outcome, organization=organization, user=user, token=shown)

    def role(self, role: str, start: float, end: float, outcome: Outcome = Outcome.OK) -> Self:
        """Ann gets another role."""
        return self.call(Kind.SET_ROLE, start, end, outcome, organization="acme", user=ANN, detail=role)

    def fault(self, start: float, end: float, *nodes: str, recovered: bool = True) -> Self:
        """A fault."""
        instants = int(start * MILLISECOND), int(end * MILLISECOND)
        self.faults.append(Fault("worker killed", *instants, nodes, recovered=recovered))
        return self

    def findings(self, final: dict[str, str] | None = None) -> Findings:
        """What the checker says."""
        return check(History(self.operations, self.faults), final)

    def rules(self, final: dict[str, str] | None = None) -> dict[Rule, int]:
        """What it says is broken, and how often."""
        return dict(self.findings(final).violation_counts)


def disturbed() -> Story:
    """With a fault throughout, so that calls without an answer are nothing odd."""
    return Story().fault(-100, 100_000)


def test_a_sound_history_has_no_violations_and_its_counts() -> None:
    story = (
        Story()
        .login("one")
        .login("two", 2, 3)
        .login("", 4, 5, status=403)
        .verify("one", 4, process=2)
        .verify("one", 9, process=2, end=12)
        .logout("one", 10, 14)
        .verify("one", 13.5, process=2)
        .verify("one", 15, status=401, process=1)
        .verify("one", 16, status=401, process=2)
        .verify("one", 65, status=401, process=2)
        .login("three", 20, 21)
        .fault(30, 40)
    )
    findings = story.findings({"two": "acme", "three": "acme"})
    assert findings.violations == []
    assert findings.operations[Kind.VERIFY, Outcome.OK] == 3
    assert findings.operations[Kind.LOGIN, Outcome.REFUSED] == 1
    assert findings.close_verifies == 1  # not the one on process 1, nor the one 51 ms later
    assert findings.faults == {"worker killed": 1}


def test_a_token_known_to_several_processes_and_then_ended_counts_as_such() -> None:
    story = Story().login("one").login("two", 2, 3)
    story.verify("one", 5).verify("one", 6, process=2).verify("two", 7).verify("two", 8)
    assert story.logout("one", 10, 11).logout("two", 12, 13).findings().warm_endings == 1


# --- a request that started after the acknowledgement


def test_an_accept_after_logout_was_acknowledged_is_found() -> None:
    story = Story().login("one").logout("one", 10, 14).verify("one", 14.1, process=2)
    assert story.rules() == {Rule.ENDED_ACCEPTED: 1}


def test_an_accept_is_found_however_long_after_the_end() -> None:
    story = Story().login("one").logout("one", 10, 14).verify("one", 3_600_000, process=2)
    assert story.rules() == {Rule.ENDED_ACCEPTED: 1}


def test_a_request_that_started_before_the_acknowledgement_may_be_accepted() -> None:
    assert Story().login("one").logout("one", 10, 14).verify("one", 13.9, end=30).rules() == {}


@pytest.mark.parametrize(
    "kind", [Kind.LOGOUTALL, Kind.PASSWORD, Kind.DISABLE, Kind.REMOVE_MEMBER, Kind.CLOSE]
)
def test_an_accept_after_everything_in_a_scope_was_ended_is_found(kind: Kind) -> None:
    assert Story().login("one").scope(kind, 10, 14).verify("one", 15).rules() == {Rule.ENDED_ACCEPTED: 1}
    assert Story().login("one").scope(kind, 10, 14).verify("one", 12).rules() == {}
    assert Story().login("one", 15, 16).scope(kind, 10, 14).verify("one", 17).rules() == {}


@pytest.mark.parametrize("kind", [Kind.REVOKE, Kind.DELETE_ROW])
def test_an_accept_after_one_token_was_ended_is_found(kind: Kind) -> None:
    story = Story().login("one").call(kind, 10, 14, token="one").verify("one", 15)
    assert story.rules() == {Rule.ENDED_ACCEPTED: 1}


def test_an_end_in_another_scope_covers_nothing() -> None:
    story = Story().login("one")
    story.call(Kind.CLOSE, 10, 14, organization="other")
    story.call(Kind.DISABLE, 10, 14, user="bob@example.com")
    story.call(Kind.REMOVE_MEMBER, 10, 14, organization="other", user=ANN)
    assert story.verify("one", 15).rules({"one": "acme"}) == {}
    assert story.verify("one", 17, status=401).rules() == {Rule.LOGIN_LOST: 1}


def test_a_second_logout_that_is_granted_after_the_first_is_found() -> None:
    story = Story().login("one").logout("one", 10, 14).logout("one", 20, 24, process=2)
    assert story.rules() == {Rule.ENDED_ACCEPTED: 1}


@pytest.mark.parametrize("status", [0, 503])
def test_an_ending_without_an_answer_may_have_happened_or_not(status: int) -> None:
    story = disturbed().login("one").logout("one", 10, 14, status=status)
    assert story.verify("one", 20).rules({"one": "acme"}) == {}
    assert story.verify("one", 30, status=401).rules({}) == {}
    assert story.verify("one", 31, process=2).rules({}) == {}


def test_an_ending_without_an_answer_that_is_repeated_with_success_covers_from_then() -> None:
    story = disturbed().login("one").logout("one", 10, 14, status=0).verify("one", 15)
    story.logout("one", 20, 24)
    assert story.rules() == {}
    assert story.verify("one", 25).rules() == {Rule.ENDED_ACCEPTED: 1}


@pytest.mark.parametrize("kind", sorted(SHUT_OUTS))
def test_a_login_that_overlaps_with_a_shut_out_leaves_no_live_token(kind: Kind) -> None:
    story = Story().login("one", 8, 20).scope(kind, 10, 14).verify("one", 21)
    assert story.rules() == {Rule.ENDED_ACCEPTED: 1}
    story = Story().login("one", 8, 20).scope(kind, 10, 14).verify("one", 21, status=401)
    assert story.rules({}) == {}


def test_a_login_that_overlaps_with_logoutall_may_survive_it_or_not() -> None:
    story = Story().login("one", 8, 20).scope(Kind.LOGOUTALL, 10, 14)
    assert story.verify("one", 21).rules({"one": "acme"}) == {}
    assert story.verify("one", 22, status=401).rules({}) == {}


@pytest.mark.parametrize(
    ("shut_out", "reinstated"), [(Kind.DISABLE, Kind.ENABLE), (Kind.REMOVE_MEMBER, Kind.ADD_MEMBER)]
)
def test_a_login_that_overlaps_with_a_reinstatement_too_may_survive(shut_out: Kind, reinstated: Kind) -> None:
    story = Story().login("one", 8, 20).scope(shut_out, 10, 14)
    detail = "member" if reinstated is Kind.ADD_MEMBER else ""
    organization = "acme" if reinstated is Kind.ADD_MEMBER else ""
    story.call(reinstated, 15, 16, organization=organization, user=ANN, detail=detail)
    assert story.verify("one", 21).rules({"one": "acme"}) == {}


# --- once refused


def test_a_process_that_refused_a_token_and_then_accepts_it_is_found() -> None:
    story = disturbed().login("one").logout("one", 10, 14, status=0)
    story.verify("one", 20, status=401, process=2).verify("one", 22, process=2)
    assert story.rules() == {Rule.REFUSED_ACCEPTED: 1}


def test_a_request_under_way_while_the_process_refused_another_may_be_accepted() -> None:
    story = disturbed().login("one").logout("one", 10, 14, status=0)
    story.verify("one", 20, status=401, process=2).verify("one", 20.5, process=2)
    assert story.rules() == {}


def test_503_is_no_refusal_of_the_token() -> None:
    assert disturbed().login("one").verify("one", 20, status=503).verify("one", 22).rules() == {}


def test_an_accept_after_a_repeated_logout_was_told_that_there_is_no_such_token_is_found() -> None:
    story = disturbed().login("one").logout("one", 10, 14, status=0).logout("one", 20, 24, status=401)
    assert story.verify("one", 25, process=2).rules() == {Rule.REFUSED_ACCEPTED: 1}


def test_an_accept_after_a_repeated_revocation_was_told_404_is_found() -> None:
    story = disturbed().login("one").http(Kind.REVOKE, "one", 10, 14, 503)
    story.http(Kind.REVOKE, "one", 20, 24, 404)
    assert story.verify("one", 25, process=2).rules() == {Rule.REFUSED_ACCEPTED: 1}


# --- acknowledged logins


def test_a_token_refused_though_nothing_ended_it_is_found() -> None:
    assert Story().login("one").verify("one", 2, status=401).rules() == {Rule.LOGIN_LOST: 1}


def test_a_token_refused_before_its_end_had_begun_is_found() -> None:
    story = Story().login("one").verify("one", 2, status=401, process=2).logout("one", 10, 14)
    assert story.rules() == {Rule.LOGIN_LOST: 1}


def test_a_token_refused_while_its_end_is_under_way_is_nothing_odd() -> None:
    story = Story().login("one").logout("one", 10, 14).verify("one", 8, status=401, end=10.5)
    assert story.rules() == {}


def test_an_ending_that_was_refused_excuses_nothing() -> None:
    story = Story().login("one").scope(Kind.DISABLE, 10, 14, Outcome.REFUSED).verify("one", 15, status=401)
    assert story.rules() == {Rule.LOGIN_LOST: 1}


def test_an_ending_that_was_acknowledged_before_the_login_excuses_nothing() -> None:
    story = Story().scope(Kind.PASSWORD, 0, 4).login("one", 5, 6).verify("one", 7, status=401)
    assert story.rules() == {Rule.LOGIN_LOST: 1}


def test_a_logout_that_finds_no_token_though_nothing_ended_it_is_found() -> None:
    assert Story().login("one").logout("one", 10, 14, status=401).rules() == {Rule.LOGIN_LOST: 1}


# --- the limit


def test_more_live_tokens_than_the_limit_are_found() -> None:
    story = Story().login("one").login("two", 2, 3).login("three", 4, 5)
    assert story.rules() == {Rule.OVER_LIMIT: 1}


@pytest.mark.parametrize("status", [204, 503])
def test_a_token_whose_end_has_begun_does_not_count_any_more(status: int) -> None:
    story = disturbed().login("one").login("two", 2, 3)
    assert story.logout("one", 4, 9, status=status).login("three", 5, 6).rules() == {}


def test_more_tokens_in_the_database_than_the_limit_are_found() -> None:
    story = disturbed().login("one").login("two", 2, 3).login("", 4, 5, status=503)
    assert story.rules({"one": "acme", "two": "acme", "who": "acme"}) == {Rule.OVER_LIMIT: 1}


# --- the final state


def test_an_acknowledged_login_that_the_database_lacks_is_found() -> None:
    assert Story().login("one").rules({}) == {Rule.FINAL_STATE: 1}


def test_an_ended_token_that_the_database_holds_is_found() -> None:
    story = Story().login("one").logout("one", 10, 14)
    assert story.rules({"one": "acme"}) == {Rule.FINAL_STATE: 1}


def test_a_token_of_another_organization_than_its_login_is_found() -> None:
    assert Story().login("one").rules({"one": "other"}) == {Rule.FINAL_STATE: 1}


def test_a_token_that_no_login_can_have_made_is_found() -> None:
    assert Story().rules({"who": "acme"}) == {Rule.FINAL_STATE: 1}
    assert disturbed().login("", status=0).rules({"who": "acme"}) == {}


# --- identity


@pytest.mark.parametrize(
    "wrong",
    [
        {"organization": "other"},
        {"user": "bob@example.com"},
        {"role": "owner"},
        {"shown": "two"},
        {"expiry": ""},
    ],
)
def test_an_accept_as_somebody_else_is_found(wrong: dict[str, Any]) -> None:
    assert Story().login("one").verify("one", 5, **wrong).rules() == {Rule.IDENTITY: 1}


def test_an_accepted_token_that_no_login_gave_is_found() -> None:
    assert Story().verify("one", 5).rules() == {Rule.IDENTITY: 1}


@pytest.mark.parametrize(("at", "role", "fits"), [
    (5, "member", True), (5, "owner", False),
    (12, "member", True), (12, "owner", True),
    (15, "member", False), (15, "owner", True),
])  # fmt: skip
def test_a_role_is_the_old_one_before_its_change_the_new_one_after_it_and_either_meanwhile(
    at: float, role: str, fits: bool
) -> None:
    story = Story().login("one").role("owner", 10, 14).verify("one", at, role=role)
    assert story.rules() == ({} if fits else {Rule.IDENTITY: 1})


def test_a_change_of_role_without_an_answer_leaves_both_roles_possible() -> None:
    story = disturbed().login("one").role("owner", 10, 14, Outcome.UNKNOWN)
    assert story.verify("one", 15).verify("one", 17, role="owner").rules() == {}


# --- answers


def test_a_status_that_the_call_never_has_is_found() -> None:
    assert disturbed().login("one").verify("one", 5, status=500).rules() == {Rule.ANSWER: 1}
    assert disturbed().login("one").logout("one", 5, 6, status=404).rules() == {Rule.ANSWER: 1}


@pytest.mark.parametrize("status", [0, 503])
def test_no_answer_or_503_is_found_unless_a_fault_is_near(status: int) -> None:
    assert Story().login("one").verify("one", 5, status=status).rules() == {Rule.ANSWER: 1}
    assert Story().login("one").verify("one", 5, status=status).fault(0, 2).rules() == {}
    assert Story().login("one").verify("one", 9000, status=status).fault(0, 2).rules() == {Rule.ANSWER: 1}
    assert Story().login("one").verify("one", 5, status=status).fault(7, 9).rules() == {Rule.ANSWER: 1}


def test_a_fault_of_one_node_excuses_no_verify_of_another() -> None:
    story = Story().login("one").verify("one", 5, status=503, process=2).fault(0, 9, "node1")
    assert story.rules() == {Rule.ANSWER: 1}
    story = Story().login("one").logout("one", 5, 6, status=503, process=2).fault(0, 9, "node1")
    assert story.rules() == {}


def test_a_call_that_takes_too_long_is_found() -> None:
    assert Story().login("one").verify("one", 5, end=4000).rules() == {Rule.ANSWER: 1}
    assert disturbed().login("one").verify("one", 5, end=4000).rules() == {}
    assert disturbed().login("one").verify("one", 5, end=16_000).rules() == {Rule.ANSWER: 1}
    assert disturbed().login("one").logout("one", 5, 16_000).rules() == {Rule.ANSWER: 1}


def test_a_password_refused_for_no_reason_is_found() -> None:
    assert Story().login("", status=400).rules() == {Rule.ANSWER: 1}
    assert Story().scope(Kind.DISABLE, -5, -4).login("", status=400).rules() == {}


def test_a_system_that_does_not_recover_is_found() -> None:
    assert Story().fault(0, 30_000, recovered=False).rules() == {Rule.ANSWER: 1}


# --- the file


def test_a_history_is_read_back_as_it_was_written_but_for_a_line_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "history"
    writer = HistoryWriter(path, 7)
    names: dict[str, Any] = {"token": "one", "organization": "acme", "user": ANN, "detail": EXPIRY}
    writer.write(Kind.LOGIN, 1, 2, "node1", 42, Outcome.OK, 200, **names)
    writer.write(Kind.VERIFY, 3, 4, "node1", 42, Outcome.UNKNOWN, token="one")
    writer.close()
    with path.open("a") as file:
        file.write('[7, 3, "ver')
    assert list(read_operations([path])) == [
        Operation(7, 1, Kind.LOGIN, 1, 2, "node1", 42, Outcome.OK, 200, **names),
        Operation(7, 2, Kind.VERIFY, 3, 4, "node1", 42, Outcome.UNKNOWN, token="one"),
    ]
