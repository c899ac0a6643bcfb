"""Real failovers: what was acknowledged holds, and what a deposed primary says is believed by nobody.

`python -m tests.failover` runs more of them.
"""

import json
import os
import random
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from urllib.parse import urlencode

import pytest

from nightlatch.model.token import generate_token
from tests.accounts import Accounts, Person
from tests.failover.failovers import KINDS
from tests.failover.run import Report, run
from tests.replication import DATABASE, ReplicatedPair
from tests.robustness.check import Rule
from tests.robustness.faults import LEASE_SECONDS
from tests.serving import Serving
from tests.sockets import Reply, exchange, post_json, with_token

FAILOVERS = len(KINDS)
LONG_LEASE_SECONDS = 1.0
"""Leaves more time after a promotion in which the old primary may still be trusted."""
CLOSE_VERIFIES_MIN = 1000
RECOVERY_SECONDS_MAX = 3.0
SEEDS_MAX = 6
WINDOW_SECONDS = 0.3

pytestmark = pytest.mark.slow


def summary(report: Report) -> str:
    return json.dumps(report.summary(), indent=2)


def test_h11_h21_h28_no_promise_is_broken_by_failovers_whose_old_primary_lives_on() -> None:
    seed = int(os.environ.get("TEST_SEED", random.randrange(2**32)))
    report = run(FAILOVERS, seed, lease_seconds=LONG_LEASE_SECONDS)
    assert report.is_sound, summary(report)
    assert len(report.failovers) == FAILOVERS
    assert report.findings.close_verifies >= CLOSE_VERIFIES_MIN, summary(report)
    assert sum(failover.cancelled for failover in report.failovers) > 0, summary(report)


def test_h21_without_the_pulse_the_same_failovers_have_ended_tokens_accepted() -> None:
    # Four failovers mostly show it, not always: it takes a logout at the new primary in the moments in
    # which a server trusts the old one.
    for seed in range(1, SEEDS_MAX + 1):
        report = run(FAILOVERS, seed, patches=("feed_needs_no_pulse",))
        shutil.rmtree(report.folder, ignore_errors=True)
        if report.findings.violation_counts[Rule.ENDED_ACCEPTED] > 0:
            return
    pytest.fail(summary(report))


@pytest.fixture(scope="module")
def pair() -> Iterator[ReplicatedPair]:
    with ReplicatedPair() as made:
        yield made


@dataclass(frozen=True)
class Served:
    """A server on a pair, and somebody who may log in."""

    pair: ReplicatedPair
    port: int
    person: Person

    def log_in(self) -> Reply:
        return post_json(self.port, "/api/auth/login/", self.person.login_body)

    def log_out(self, token: str) -> Reply:
        return exchange(self.port, "POST", "/api/auth/logout/", with_token(token))

    def verify(self, token: str) -> int:
        return exchange(self.port, "GET", "/api/auth/verify/", with_token(token)).status

    def is_stored(self, token: str) -> bool:
        query = "SELECT FROM token WHERE id = $1"
        return len(self.pair.primary.query(query, token[4:16], database=DATABASE)) == 1

    def stored_tokens(self) -> int:
        return len(self.pair.primary.query("SELECT FROM token", database=DATABASE))

    def end_waits(self, function: str, answer: "Future[Reply]") -> Reply:
        """The answer, while all that waits for the standby is cut short on the primary."""
        query = f"SELECT {function}(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        while not answer.done():
            self.pair.primary.query(query)
            wait([answer], 0.05)
        return answer.result()


@pytest.fixture(
    scope="module", params=["", "client_min_messages = error", "synchronous_commit = off"], ids=str
)
def served(
    request: pytest.FixtureRequest, pair: ReplicatedPair, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """For each of the settings that a role may have, which must make no difference."""
    pair.primary.query("ALTER ROLE postgres RESET ALL")
    if request.param:
        pair.primary.query(f"ALTER ROLE postgres SET {request.param}")
    accounts = Accounts(pair.primary.url())
    person = accounts.add_person(token_limit=1000)
    accounts.close()
    serving = Serving(pair.url(), tmp_path_factory.mktemp("server") / "log").wait_ready()
    yield Served(pair, serving.port, person)
    assert serving.stop() == 0


@pytest.fixture
def paused_standby(pair: ReplicatedPair) -> Iterator[None]:
    pair.wait_in_sync()
    pair.standby.pause()
    yield
    pair.standby.resume()


def seconds_until(served: Served, token: str, status: int) -> float:
    begin = time.monotonic()
    while served.verify(token) != status:
        assert time.monotonic() - begin < 10
    return time.monotonic() - begin


@pytest.mark.parametrize("function", ["pg_cancel_backend", "pg_terminate_backend"])
def test_h28_a_commit_whose_wait_for_the_standby_was_cut_short_is_503_and_tells_nobody_that_a_token_is_gone(
    served: Served, function: str
) -> None:
    token = served.log_in().json["token"]
    assert served.verify(token) == 200
    before = served.stored_tokens()
    served.pair.standby.pause()
    with ThreadPoolExecutor(1) as pool:
        try:
            assert served.end_waits(function, pool.submit(served.log_in)).status == 503
            assert served.stored_tokens() == before + 1  # visible, and perhaps nowhere else
            assert served.end_waits(function, pool.submit(served.log_out, token)).status == 503
            assert not served.is_stored(token)
            assert served.end_waits(function, pool.submit(served.log_out, token)).status == 503
            repeated = pool.submit(served.log_out, token)
            assert not wait([repeated], 1.0).done
            assert served.verify(token) == 503
        finally:
            served.pair.standby.resume()
        assert repeated.result().status == 401
    assert served.verify(token) == 401
    assert served.log_in().status == 200


def test_h28_nobody_is_told_that_there_was_nothing_to_revoke_before_the_standby_confirms(
    served: Served,
) -> None:
    """The newest tokens are not known to a primary that was deposed."""
    mine, unknown = served.log_in().json["token"], generate_token().reveal()
    headers = [*with_token(mine), ("Content-Type", "application/x-www-form-urlencoded")]
    body = urlencode({"token": unknown}).encode()
    assert exchange(served.port, "POST", "/api/auth/revoke/", headers, body).status == 200
    served.pair.standby.pause()
    with ThreadPoolExecutor(1) as pool:
        try:
            asked = pool.submit(exchange, served.port, "POST", "/api/auth/revoke/", headers, body)
            assert not wait([asked], 1.0).done
        finally:
            served.pair.standby.resume()
        assert asked.result().status in (200, 503)


def test_h21_while_the_standby_does_not_confirm_nothing_is_accepted_and_soon_after_everything_again(
    served: Served,
) -> None:
    token = served.log_in().json["token"]
    seconds_until(served, token, 200)
    served.pair.standby.pause()
    try:
        assert seconds_until(served, token, 503) < LEASE_SECONDS + 1.0 + 0.5
        assert {served.verify(token) for _ in range(3)} == {503}
    finally:
        served.pair.standby.resume()
    assert seconds_until(served, token, 200) < RECOVERY_SECONDS_MAX


def test_where_no_standby_is_waited_for_there_is_no_pulse(served: Served, pair: ReplicatedPair) -> None:
    token = served.log_in().json["token"]
    assert pulses(pair) > 0
    pair.primary.wait_for("")
    try:
        pair.standby.pause()
        # Other writing comes now and then, a pulse several times in each window.
        assert any(pulses(pair) == 0 for _ in range(10))
        assert served.verify(token) == 200
        assert served.log_in().status == 200
        assert served.log_out(token).status == 204
        assert served.verify(token) == 401
    finally:
        pair.standby.resume()
        pair.primary.wait_for(pair.standby.name)
        pair.wait_in_sync()


def pulses(pair: ReplicatedPair) -> int:
    """How many bytes of log the primary writes in a short while in which nobody asks for anything."""
    query = "SELECT pg_current_wal_insert_lsn() - '0/0'"
    before = pair.primary.query(query)[0][0]
    time.sleep(WINDOW_SECONDS)
    return int(pair.primary.query(query)[0][0] - before)
