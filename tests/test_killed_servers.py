"""Promise 4: what was acknowledged survives kill -9 at any moment."""

import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.accounts import Accounts, Person
from tests.conftest import Database
from tests.serving import Serving
from tests.sockets import exchange, post_json, with_token

OPERATIONS = 2000
CLIENTS = 16
KILLS = 12

pytestmark = pytest.mark.slow


class Client:
    """Logs in and out in turn; remembers what was acknowledged, and what it cannot know."""

    def __init__(self, port: int, person: Person, operations: int) -> None:
        self.port = port
        self.person = person
        self.operations = operations
        self.live: list[str] = []
        self.ended: list[str] = []
        self.unknown: list[str] = []
        self.done = 0
        self.cut = 0
        self.hung = 0
        self.unexpected: list[int] = []

    def run(self) -> None:
        while self.done < self.operations:
            if len(self.live) >= 8:
                self._log_out(self.live.pop(0))
            else:
                self._log_in()
            self.done += 1

    def _log_in(self) -> None:
        try:
            reply = post_json(self.port, "/api/auth/login/", self.person.login_body)
        except ConnectionRefusedError:
            self._wait()
            return
        except TimeoutError:
            self.hung += 1
            return
        except (OSError, IndexError):
            self.cut += 1
            return
        if reply.status == 200:
            self.live.append(reply.json["token"])
        elif reply.status not in (403, 503):
            self.unexpected.append(reply.status)

    def _wait(self) -> None:
        """Nothing was sent: the operation does not count."""
        self.done -= 1
        time.sleep(0.05)

    def _log_out(self, token: str) -> None:
        try:
            reply = exchange(self.port, "POST", "/api/auth/logout/", with_token(token))
        except ConnectionRefusedError:
            self.live.append(token)
            self._wait()
            return
        except TimeoutError:
            self.hung += 1
            self.unknown.append(token)
            return
        except (OSError, IndexError):
            self.cut += 1
            self.unknown.append(token)
            return
        if reply.status == 204:
            self.ended.append(token)
        else:
            self.unknown.append(token)
            if reply.status != 503:
                self.unexpected.append(reply.status)


def test_acknowledged_logins_and_logouts_survive_killed_processes(
    accounts: Accounts, database: Database, tmp_path: Path
) -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    serving = Serving(database.url, tmp_path / "log", workers=3).wait_ready()
    clients = [
        Client(serving.port, accounts.add_person(token_limit=1000), OPERATIONS // CLIENTS)
        for _ in range(CLIENTS)
    ]
    finished = threading.Event()
    moments = sorted(chance.sample(range(OPERATIONS // 20, OPERATIONS - OPERATIONS // 20), KILLS))
    killed: list[int] = []

    def kill_at_random() -> None:
        """A worker, or now and then the main process, when so many operations are done."""
        for number, moment in enumerate(moments):
            while sum(client.done for client in clients) < moment and not finished.wait(0.001):
                pass
            pids = serving.worker_pids() or [serving.process.pid]
            victim = serving.process.pid if number % 6 == 5 else chance.choice(pids)
            try:
                os.kill(victim, signal.SIGKILL)
                killed.append(victim)
            except ProcessLookupError:
                pass

    threads = [
        threading.Thread(target=kill_at_random),
        threading.Thread(target=_keep_running, args=(serving, finished)),
    ]
    for thread in threads:
        thread.start()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(lambda client: client.run(), clients))
    finished.set()
    for thread in threads:
        thread.join()
    serving.wait_ready()
    try:
        assert len(killed) >= KILLS // 2, f"seed {seed}"
        assert sum(client.cut for client in clients) < OPERATIONS / 4
        for client in clients:
            assert client.unexpected == [], f"seed {seed}"
            assert client.hung == 0, f"seed {seed}"
            for token in client.live:
                assert _status(serving.port, token) == 200, f"an acknowledged token is missing, seed {seed}"
            for token in client.ended:
                assert _status(serving.port, token) == 401, f"an acknowledged logout was lost, seed {seed}"
        _check_events(accounts)
        if database.kind == "sqlite":
            assert [tuple(row) for row in accounts.sql("PRAGMA integrity_check")] == [("ok",)]
    finally:
        serving.stop()


def _check_events(accounts: Accounts) -> None:
    """Each token that was given out has its event, and each that is gone another: none more or less."""

    def ids(statement: str) -> list[str]:
        return sorted(row[0] for row in accounts.sql(statement))

    given = ids("SELECT token_id FROM event WHERE kind = 'login'")
    ended = ids("SELECT token_id FROM event WHERE kind = 'logout'")
    assert len(set(given)) == len(given)
    assert len(set(ended)) == len(ended)
    assert set(ended) <= set(given)
    assert sorted(set(given) - set(ended)) == ids("SELECT id FROM token")


def _keep_running(serving: Serving, finished: threading.Event) -> None:
    """A supervisor, for when workers were killed faster than the server puts up with."""
    while not finished.wait(0.05):
        if serving.process.poll() is not None:
            serving.restart()


def _status(port: int, token: str) -> int:
    return exchange(port, "GET", "/api/v1/organizations/", with_token(token)).status
