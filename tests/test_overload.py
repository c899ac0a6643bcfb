"""Who asks for more than there is takes it from those who ask for the same, and from nobody else."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.accounts import Accounts, Person
from tests.crowd import exchange_at_once, login_request
from tests.serving import Serving
from tests.sockets import exchange, request_bytes, with_token

pytestmark = pytest.mark.slow
LOGINS = 200
HASH_KIB = 19_456
THREADS = 2
SLOW_READERS = 300


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Accounts]:
    accounts = Accounts(f"sqlite:///{tmp_path}/nightlatch.db")
    yield accounts
    accounts.close()


def _resident_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS:")))


class Watch:
    """Verifies a token again and again in the background, and looks at the worker's memory."""

    def __init__(self, serving: Serving, token: str) -> None:
        self._serving = serving
        self._headers = with_token(token)
        (self._pid,) = serving.worker_pids()
        self.statuses: set[int] = set()
        self.seconds: list[float] = []
        self.before_kib = self.most_kib = _resident_kib(self._pid)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Until the block ends."""
        ended = threading.Event()

        def watch() -> None:
            while not ended.is_set():
                begun = time.monotonic()
                reply = exchange(self._serving.port, "GET", "/api/auth/verify/", self._headers)
                self.seconds.append(time.monotonic() - begun)
                self.statuses.add(reply.status)
                self.most_kib = max(self.most_kib, _resident_kib(self._pid))
                time.sleep(0.005)  # it is to see what happens, and no load

        with ThreadPoolExecutor(1) as pool:
            watching = pool.submit(watch)
            try:
                yield
            finally:
                ended.set()
            watching.result()


def test_lg4_200_logins_at_once_neither_hold_up_verifications_nor_fill_memory(
    own: Accounts, tmp_path: Path
) -> None:
    token = own.log_in(own.add_person())
    serving = Serving(
        own.database_url,
        tmp_path / "log",
        password_hash_memory_kib=HASH_KIB,
        password_hash_time_cost=8,
        password_hash_threads=THREADS,
        password_hash_wait_seconds=2,
    ).wait_ready()
    try:
        nobody = Person("zzzzzz", "nobody@example.com")  # at the price of anybody
        watch = Watch(serving, token)
        with watch.running():
            replies = exchange_at_once(serving.port, [login_request(nobody.login_body)] * LOGINS)
        answered = [reply.status for reply in replies if reply is not None]
        assert len(answered) == LOGINS
        assert set(answered) == {400, 503}  # more than can be hashed in time
        for reply in replies:
            assert reply is None or reply.status != 503 or int(reply.headers["retry-after"]) >= 1
        assert watch.statuses == {200}
        # One that had to wait in the queue for hashes would wait for two seconds.
        assert len(watch.seconds) > 50
        assert watch.most_kib - watch.before_kib < THREADS * HASH_KIB + 40 * 1024
    finally:
        assert serving.stop() == 0


def test_av2_clients_that_do_not_read_their_answers_hold_up_nobody(own: Accounts, tmp_path: Path) -> None:
    token = own.log_in(own.add_person())
    serving = Serving(own.database_url, tmp_path / "log").wait_ready()
    readers = []
    try:
        large = request_bytes("GET", "/docs/assets/swagger-ui-bundle.js", [("Connection", "keep-alive")])
        for _ in range(SLOW_READERS):
            reader = socket.socket()
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.connect(("127.0.0.1", serving.port))
            reader.sendall(large * 3)
            readers.append(reader)
        watch = Watch(serving, token)
        with watch.running():
            time.sleep(2)  # they hang there meanwhile
            until = time.monotonic() + 60
            while len(watch.seconds) <= 10 and time.monotonic() < until:
                time.sleep(0.1)  # asked again: on a loaded machine ten verifications take longer
        assert watch.statuses == {200}
        assert len(watch.seconds) > 10
        assert exchange(serving.port, "GET", "/api/auth/tokens/", with_token(token)).status == 200
    finally:
        for reader in readers:
            reader.close()
        assert serving.stop() == 0
