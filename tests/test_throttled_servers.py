"""Four server processes let through no more guesses than one would, also after a restart."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.accounts import Accounts, Person
from tests.conftest import Database
from tests.crowd import exchange_at_once, login_request
from tests.serving import Serving
from tests.sockets import Reply, exchange, post_json, request_bytes

BURST = 10
GUESSES = 60

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def four_processes(
    database: Database, accounts: Accounts, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Serving]:
    serving = Serving(
        database.url,
        tmp_path_factory.mktemp("server") / "log",
        workers=4,
        failed_logins_per_account=f"{BURST} per 1d",
        trusted_proxies="127.0.0.1",
    ).wait_ready()
    yield serving
    serving.stop()


def guess_at_once(port: int, person: Person) -> list[Reply]:
    """Answers to many wrong passwords, all sent at the same time."""
    body = {**person.login_body, "password": "a wrong password"}
    replies = exchange_at_once(port, [login_request(body)] * GUESSES)
    assert None not in replies
    return [reply for reply in replies if reply is not None]


def statuses(replies: list[Reply]) -> dict[int, int]:
    return {status: [reply.status for reply in replies].count(status) for status in (200, 400, 429, 503)}


def told(reply: Reply) -> tuple[int, tuple[str, ...], str]:
    """All that a refusal tells, but for the number of seconds."""
    seconds = reply.headers["retry-after"]
    assert f" {seconds} seconds." in reply.json["detail"]
    return reply.status, tuple(reply.headers), re.sub(r"[0-9]+", "N", reply.body.decode())


def test_guesses_at_once_through_four_processes_are_let_through_at_the_rate(
    accounts: Accounts, four_processes: Serving
) -> None:
    known = accounts.add_person()
    refusals = []
    for person in (known, Person(known.organization_id, "nobody@example.com"), Person("zzzzzz", "x@x")):
        replies = guess_at_once(four_processes.port, person)
        assert statuses(replies) == {200: 0, 400: BURST, 429: GUESSES - BURST, 503: 0}
        refusals.append({told(reply) for reply in replies if reply.status == 429})
    assert refusals[0] == refusals[1] == refusals[2]
    assert len(refusals[0]) == 1


def test_guesses_at_once_from_a_known_address_exceed_the_rate_by_those_under_way_only(
    accounts: Accounts, four_processes: Serving
) -> None:
    person = accounts.add_person()
    accounts.log_in(person, address="127.0.0.1")
    through = statuses(guess_at_once(four_processes.port, person))[400]
    assert BURST <= through <= 2 * BURST
    assert statuses(guess_at_once(four_processes.port, person))[429] == GUESSES


def test_the_owner_gets_in_from_a_known_address_while_strangers_guess(
    accounts: Accounts, four_processes: Serving
) -> None:
    person, home = accounts.add_person(), "192.0.2.9"
    accounts.log_in(person, address=home)
    assert statuses(guess_at_once(four_processes.port, person))[429] == GUESSES - BURST
    # So many that processes refuse from memory.
    for _ in range(3):
        assert statuses(guess_at_once(four_processes.port, person))[429] == GUESSES
    assert post_json(four_processes.port, "/api/auth/login/", person.login_body).status == 429
    for _ in range(8):
        from_home = [("X-Forwarded-For", home)]
        assert post_json(four_processes.port, "/api/auth/login/", person.login_body, from_home).status == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/api/auth/tokens/"), ("POST", "/api/auth/introspect/"), ("POST", "/api/auth/revoke/")],
)
def test_basic_is_counted_like_a_login(
    method: str, path: str, accounts: Accounts, four_processes: Serving
) -> None:
    person = accounts.add_person()
    pair = base64.b64encode(f"{person.username}:a wrong password".encode()).decode()
    target = f"{path}?organization_id={person.organization_id}"
    request = request_bytes(method, target, [("Authorization", f"Basic {pair}")])
    replies = exchange_at_once(four_processes.port, [request] * GUESSES)
    assert [reply.status for reply in replies if reply].count(401) == BURST
    assert len({told(reply) for reply in replies if reply and reply.status == 429}) == 1
    assert post_json(four_processes.port, "/api/auth/login/", person.login_body).status == 429


def test_what_was_counted_survives_a_restart(accounts: Accounts, database: Database, tmp_path: Path) -> None:
    person = accounts.add_person()
    serving = Serving(
        database.url, tmp_path / "log", failed_logins_per_account=f"{BURST} per 1d"
    ).wait_ready()
    try:
        assert statuses(guess_at_once(serving.port, person))[400] == BURST
        serving.stop()
        serving.restart()
        serving.wait_ready()
        assert statuses(guess_at_once(serving.port, person))[429] == GUESSES
    finally:
        serving.stop()


def test_the_client_is_whom_a_trusted_proxy_tells(
    accounts: Accounts, database: Database, tmp_path: Path
) -> None:
    serving = Serving(
        database.url,
        tmp_path / "log",
        trusted_proxies="127.0.0.1",
        failed_logins_per_address=f"{BURST} per 1d",
    ).wait_ready()

    def guess(address: str) -> int:
        headers = [("X-Forwarded-For", address), ("Content-Type", "application/json")]
        body = b'{"username": "behind@proxy", "password": "x", "organization_id": "zzzzzz"}'
        return exchange(serving.port, "POST", "/api/auth/login/", headers, body).status

    try:
        first = [guess(f"2001:db8:1:2::{number}") for number in range(BURST + 1)]
        assert first == [400] * BURST + [429]
        assert guess("2001:db8:1:3::1") == 400
    finally:
        serving.stop()
