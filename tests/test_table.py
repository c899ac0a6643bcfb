"""The table of what is known: equal to a plain dictionary that forgets nothing, bounded, and in order."""

import secrets
from datetime import UTC, datetime

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from nightlatch.hot import table as table_module
from nightlatch.hot.known import AGE_SECONDS_MAX, SEPARATOR, Known, KnownChild
from nightlatch.hot.table import Bounded, Table
from nightlatch.model.change import Change, Snapshot
from nightlatch.model.names import Email, OrganizationId, Role, TokenId, UserId
from nightlatch.model.scope import NOTHING
from nightlatch.model.standing import Descent, Identity, Standing
from nightlatch.model.token import TokenDigest

DIGESTS = [bytes([number]) * 32 for number in range(6)]
NOW = 1_800_000_000.0


def snapshot(number: int, epoch: str = "one", seconds: float = NOW) -> Snapshot:
    return Snapshot(epoch, number, seconds, 0.25)


def standing(
    role: Role = Role.OWNER, expiry: datetime | None = None, descent: Descent | None = None
) -> Standing:
    identity = Identity(OrganizationId("acme"), UserId(1), Email("ann@example.com"), role)
    return Standing(TokenId("4fTz0aB7Qm2K"), identity, expiry, descent)


def descent_of(digest: bytes) -> Descent | None:
    """Every other token of the model is a child."""
    return Descent(TokenDigest(DIGESTS[0]), NOTHING) if digest in DIGESTS[1::2] else None


class TableAgainstDictionary(RuleBasedStateMachine):
    """A database as a dictionary with numbered changes; reads and feeds arrive late and out of order."""

    def __init__(self) -> None:
        super().__init__()
        self.table = Table(3)
        self.table.start_over(snapshot(0))
        # A token's digest has never been asked for before its login: two of these never come.
        self.live: dict[bytes, Role] = dict.fromkeys(DIGESTS[:4], Role.OWNER)
        self.changes: list[Change] = []
        self.reads: list[tuple[bytes, Role | None, int]] = []
        # What each change left.
        self.states: list[dict[bytes, Role]] = [dict(self.live)]

    def _change(self, digest: bytes | None) -> None:
        self.changes.append(Change(len(self.changes) + 1, digest))
        self.states.append(dict(self.live))

    @rule(digest=st.sampled_from(DIGESTS))
    def end(self, digest: bytes) -> None:
        if self.live.pop(digest, None) is not None:
            self._change(digest)

    @rule(digest=st.sampled_from(DIGESTS), role=st.sampled_from(Role))
    def change_role(self, digest: bytes, role: Role) -> None:
        if digest in self.live:
            self.live[digest] = role
            self._change(digest)

    @rule()
    def clear_everything(self) -> None:
        self._change(None)

    @rule(digest=st.sampled_from(DIGESTS))
    def read(self, digest: bytes) -> None:
        self.reads.append((digest, self.live.get(digest), len(self.changes)))

    @rule(data=st.data())
    def a_read_arrives(self, data: st.DataObject) -> None:
        if self.reads:
            digest, role, number = self.reads.pop(data.draw(st.integers(0, len(self.reads) - 1)))
            found = TokenDigest(digest)
            if self.table.is_usable(found, snapshot(number)):
                kept = None if role is None else standing(role, descent=descent_of(digest))
                self.table.keep(found, kept, snapshot(number))

    @rule(data=st.data())
    def a_feed_arrives(self, data: st.DataObject) -> None:
        head = data.draw(st.integers(self.table.applied, len(self.changes)))
        self.table.apply(snapshot(head), self.changes[self.table.applied : head])

    @rule(data=st.data())
    def a_feed_with_pruned_rows_arrives(self, data: st.DataObject) -> None:
        kept = data.draw(st.integers(self.table.applied, len(self.changes)))
        self.table.apply(snapshot(len(self.changes)), self.changes[kept:])

    @invariant()
    def what_is_known_is_what_was_true_at_or_after_the_last_applied_change(self) -> None:
        for digest in DIGESTS:
            # Any state from `applied` on may have been read; an older one never.
            allowed = [state.get(digest) for state in self.states[self.table.applied :]] + [
                self.live.get(digest)
            ]
            known = self.table.find(digest)
            if known is not None:
                assert known.identity.role in allowed
                assert isinstance(known, KnownChild) == (descent_of(digest) is not None)
            if self.table.is_absent(digest, NOW):
                assert None in allowed

    @invariant()
    def it_is_bounded(self) -> None:
        assert len(self.table.known) <= 3
        assert len(self.table.children) <= 1


TestTableAgainstDictionary = TableAgainstDictionary.TestCase
TestTableAgainstDictionary.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_h9_a_read_from_before_a_change_of_its_token_is_not_usable() -> None:
    table = Table(10)
    table.start_over(snapshot(5))
    table.apply(snapshot(6), [Change(6, DIGESTS[0])])
    assert not table.is_usable(TokenDigest(DIGESTS[0]), snapshot(5))
    assert table.is_usable(TokenDigest(DIGESTS[1]), snapshot(5))
    assert table.is_usable(TokenDigest(DIGESTS[0]), snapshot(6))


def test_h9_a_read_from_before_what_is_remembered_is_not_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_module, "RECENT_CHANGES_MAX", 2)
    table = Table(10)
    table.start_over(snapshot(0))
    table.apply(snapshot(3), [Change(number, DIGESTS[number]) for number in (1, 2, 3)])
    assert not table.is_usable(TokenDigest(DIGESTS[5]), snapshot(0)), "change 1 has been forgotten"
    assert table.is_usable(TokenDigest(DIGESTS[5]), snapshot(1))
    assert not table.is_usable(TokenDigest(DIGESTS[2]), snapshot(1))


@pytest.mark.parametrize(
    "head,changes,epoch",
    [
        (7, [Change(7, DIGESTS[1])], "one"),  # H19: number 6 was pruned
        (7, [], "one"),
        (4, [], "one"),  # numbers went back
        (5, [], "two"),  # another history
        (6, [Change(6, None)], "one"),
        (6, [Change(6, b"of a later version")], "one"),  # H34
    ],
    ids=["a gap", "all pruned", "back", "epoch", "clear", "unknown kind"],
)
def test_h18_h19_h34_what_cannot_be_applied_in_order_clears_everything(
    head: int, changes: list[Change], epoch: str
) -> None:
    table = Table(10)
    table.start_over(snapshot(5))
    table.keep(TokenDigest(DIGESTS[0]), standing(), snapshot(5))
    table.keep(TokenDigest(DIGESTS[1]), None, snapshot(5))
    table.apply(snapshot(head, epoch), changes)
    assert not table.known
    assert not table.is_absent(DIGESTS[1], NOW)
    assert (table.applied, table.epoch) == (head, epoch)


def test_rv8_what_is_known_is_believed_for_a_minute_and_never_beyond_its_expiry() -> None:
    table = Table(10)
    table.start_over(snapshot(0))
    endless = table.keep(TokenDigest(DIGESTS[0]), standing(), snapshot(0))
    soon = table.keep(
        TokenDigest(DIGESTS[1]), standing(expiry=datetime.fromtimestamp(NOW + 5, UTC)), snapshot(0)
    )
    assert endless is not None
    assert soon is not None
    assert endless.until == NOW + AGE_SECONDS_MAX
    assert soon.until == NOW + 5


def test_what_is_known_is_what_was_read_whatever_characters_it_has() -> None:
    for email in ("ann@example.com", "jürgen%25+\r\n @ex\nample.com", "𝔘@é.example"):
        identity = Identity(OrganizationId("a\nb é"), UserId(7), Email(email), Role.MEMBER)
        known = Known(Standing(TokenId("4fTz0aB7Qm2K"), identity, None), TokenDigest(DIGESTS[0]), NOW)
        assert known.identity == identity
        parts = known.packed.split(SEPARATOR)
        assert len(parts) == 6
        assert all(value.isascii() and value.decode().isprintable() for value in parts)


def test_av8_attacker_chosen_keys_fill_no_more_than_the_bound() -> None:
    bounded: Bounded[int] = Bounded(100)
    for number in range(10_000):
        bounded.put(secrets.token_bytes(32), number)
        if number % 3 == 0:
            bounded.drop(next(iter(bounded.values)))
    assert len(bounded.values) <= 100
    assert len(bounded._order) <= 100


def test_av8_children_are_bounded_and_never_push_out_tokens() -> None:
    table = Table(100)
    table.start_over(snapshot(0))
    for digest in DIGESTS[::2]:
        table.keep(TokenDigest(digest), standing(), snapshot(0))
    for _ in range(10_000):
        child = standing(descent=Descent(TokenDigest(DIGESTS[0]), NOTHING))
        table.keep(TokenDigest(secrets.token_bytes(32)), child, snapshot(0))
    assert set(table.known) == set(DIGESTS[::2])
    assert len(table.children) == 10


def test_absent_tokens_never_push_out_live_ones() -> None:
    table = Table(10)
    table.start_over(snapshot(0))
    table.keep(TokenDigest(DIGESTS[0]), standing(), snapshot(0))
    for _ in range(20_000):
        table.keep(TokenDigest(secrets.token_bytes(32)), None, snapshot(0))
    assert DIGESTS[0] in table.known
