"""Promise 1: an organization never has more live tokens than its limit, however logins race."""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.accounts import Accounts
from tests.conftest import Database
from tests.crowd import exchange_at_once, login_request
from tests.serving import Serving
from tests.sockets import Reply, exchange, with_token

ROUNDS = 20
LOGINS = 200

pytestmark = [pytest.mark.slow, pytest.mark.every_release]


@pytest.fixture(scope="module")
def four_processes(
    database: Database, accounts: Accounts, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Serving]:
    serving = Serving(database.url, tmp_path_factory.mktemp("server") / "log", workers=4).wait_ready()
    yield serving
    assert serving.stop() == 0


def statuses(replies: list[Reply | None]) -> Counter[int | None]:
    return Counter(None if reply is None else reply.status for reply in replies)


def test_of_200_logins_at_once_exactly_20_succeed(accounts: Accounts, four_processes: Serving) -> None:
    for _ in range(ROUNDS):
        person = accounts.add_person()
        replies = exchange_at_once(four_processes.port, [login_request(person.login_body)] * LOGINS)
        assert statuses(replies) == {200: 20, 403: 180}
        codes = {reply.json["code"] for reply in replies if reply and reply.status == 403}
        assert codes == {"token_limit_reached"}
        assert accounts.live_tokens(person.organization_id) == 20


def test_with_one_place_free_exactly_one_wins(accounts: Accounts, four_processes: Serving) -> None:
    for _ in range(5):
        person = accounts.add_person()
        for _ in range(19):
            accounts.log_in(person)
        replies = exchange_at_once(four_processes.port, [login_request(person.login_body)] * 50)
        assert statuses(replies) == {200: 1, 403: 49}


def test_a_killed_worker_keeps_no_place_and_loses_no_acknowledged_token(
    accounts: Accounts, database: Database, tmp_path: Path
) -> None:
    serving = Serving(database.url, tmp_path / "log", workers=4).wait_ready()
    try:
        person = accounts.add_person()

        def kill_one() -> None:
            time.sleep(0.05)
            os.kill(serving.worker_pids()[0], signal.SIGKILL)

        killer = threading.Thread(target=kill_one)
        killer.start()
        replies = exchange_at_once(serving.port, [login_request(person.login_body)] * LOGINS)
        killer.join()
        assert set(statuses(replies)) <= {200, 403, None}
        acknowledged = [reply.json["token"] for reply in replies if reply and reply.status == 200]
        # Nothing but live tokens takes a place: the limit is reached exactly, not before.
        while accounts.live_tokens(person.organization_id) < 20:
            reply = exchange_at_once(serving.port, [login_request(person.login_body)])[0]
            if reply is not None and reply.status == 200:
                acknowledged.append(reply.json["token"])
        refused = exchange_at_once(serving.port, [login_request(person.login_body)] * 5)
        assert set(statuses(refused)) == {403}
        for token in acknowledged:
            assert exchange(serving.port, "GET", "/api/v1/organizations/", with_token(token)).status == 200
    finally:
        serving.stop()
