"""The faults: how each is brought about in a real database or server, and taken back."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.postgresql import PostgresqlServer
from tests.serving import Serving

FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
LEASE_SECONDS = 0.25
COME_BACK_SECONDS = 5.0
_PRUNE = """
import sys
from nightlatch.usecases.prune import prune_expired
from tests.accounts import Accounts
accounts = Accounts(sys.argv[1])
accounts.do(prune_expired)
accounts.close()
"""


class Fault:
    """Something that breaks, and is whole again later; `name` heads a row of the table."""

    name: str
    step_seconds = 0
    """By how much the database's clock is set forward."""
    keeps_connection = False
    """Whether the client goes on with a connection that it had before."""
    answer_seconds = 15.0
    remark = ""
    """What else was needed, once it is healed."""

    def strike(self) -> None:
        """Break it."""
        raise NotImplementedError

    def worsen(self) -> None:
        """Let what is broken have its consequences; called between the two rounds of probes."""

    def heal(self) -> None:
        """Take it back, as whoever looks after the machine or the database does."""
        raise NotImplementedError


class DiskFull(Fault):
    """The file system of the database has no room left."""

    name = "disk full"

    def __init__(self, folder: Path, postgresql: PostgresqlServer | None = None) -> None:
        self._filler = folder / "filler"
        self._postgresql = postgresql

    def strike(self) -> None:
        with self._filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(4096)):
                pass

    def worsen(self) -> None:
        if self._postgresql is not None:
            # What comes when its log needs its next file.
            with contextlib.suppress(Exception):
                self._postgresql.execute("SELECT pg_switch_wal()")

    def heal(self) -> None:
        self._filler.unlink()
        if self._postgresql is not None and not self._is_back(self._postgresql):
            if self._postgresql.is_running():
                self._postgresql.stop("immediate")
            self._postgresql.start()
            self.remark = "PostgreSQL did not come back by itself, and was started again"

    def _is_back(self, postgresql: PostgresqlServer) -> bool:
        """Whether PostgreSQL has recovered by itself; some of its crashes end it, or leave it stuck."""
        deadline = time.monotonic() + COME_BACK_SECONDS
        while postgresql.is_running() and time.monotonic() < deadline:
            try:
                postgresql.execute("SELECT 1")
                return True
            except Exception:
                time.sleep(0.1)  # between two looks
        return False


class DatabaseGone(Fault):
    """PostgreSQL has crashed; its supervisor starts it again later."""

    name = "database gone"

    def __init__(self, postgresql: PostgresqlServer) -> None:
        self._postgresql = postgresql

    def strike(self) -> None:
        self._postgresql.stop("immediate")

    def heal(self) -> None:
        self._postgresql.start()


class PostgresqlReadOnly(Fault):
    """PostgreSQL takes no writes."""

    name = "database read-only"

    def __init__(self, postgresql: PostgresqlServer) -> None:
        self._postgresql = postgresql

    def strike(self) -> None:
        self._postgresql.configure(default_transaction_read_only="on")

    def heal(self) -> None:
        self._postgresql.configure()


class SqliteReadOnly(Fault):
    """The database and its log can be written by nobody, not even through open descriptors."""

    name = "database read-only"

    def __init__(self, database: Path) -> None:
        self._files = [str(database), f"{database}-wal"]

    def strike(self) -> None:
        subprocess.run(["chattr", "+i", *self._files], check=True, capture_output=True)

    def heal(self) -> None:
        subprocess.run(["chattr", "-i", *self._files], check=True, capture_output=True)


class ClockStepped(Fault):
    """The clock that the database goes by is set forward or back, and put right later."""

    def __init__(
        self, clock: Path, seconds: int, wait_seconds: float, url: str, starter: Sequence[str]
    ) -> None:
        self._clock = clock
        self._prune = [*starter, sys.executable, "-c", _PRUNE, url]
        self._wait_seconds = wait_seconds
        self.step_seconds = seconds
        size = f"{abs(seconds) // 3600} h" if abs(seconds) < 86400 else f"{abs(seconds) // 86400} day"
        self.name = f"clock {'+' if seconds > 0 else '−'}{size}"

    def strike(self) -> None:
        set_clock(self._clock, self.step_seconds)
        self._let_be_noticed()

    def worsen(self) -> None:
        # What servers do each hour: expired tokens are there to be removed.
        subprocess.run(self._prune, check=True)

    def heal(self) -> None:
        set_clock(self._clock, 0)
        self._let_be_noticed()

    def _let_be_noticed(self) -> None:
        # Servers look at the clock once a second, or with each read of the feed; nothing tells from outside
        # that they have. No token is waited for to expire: the clock that decides on it has been set.
        time.sleep(self._wait_seconds)


class NoDescriptors(Fault):
    """Clients hold so many connections that the server's process may open nothing more."""

    def __init__(self, serving: Serving, limit: int, keeps_connection: bool) -> None:
        self._serving = serving
        self._limit = limit
        self._held: list[socket.socket] = []
        self.keeps_connection = keeps_connection
        if not keeps_connection:
            self.answer_seconds = 0.25
        self.name = (
            f"no file descriptors, {'connection open before' if keeps_connection else 'new connection'}"
        )

    def strike(self) -> None:
        (worker,) = self._serving.worker_pids()
        deadline = time.monotonic() + 10
        while len(os.listdir(f"/proc/{worker}/fd")) < self._limit:
            assert time.monotonic() < deadline, "the server's descriptors are not used up"
            self._held.append(socket.create_connection(("127.0.0.1", self._serving.port)))
            time.sleep(0.001)  # for the server to have taken it

    def heal(self) -> None:
        for connection in self._held:
            connection.close()
        self._held.clear()


def set_clock(clock: Path, seconds: int) -> None:
    """Set the clock of whoever runs with it that far from the machine's."""
    replacement = clock.with_name(f"{clock.name}.new")
    replacement.write_text(f"{seconds:+d}\n")
    replacement.chmod(0o644)
    replacement.replace(clock)


def clock_environment(clock: Path) -> dict[str, str]:
    """What a process has to be started with so that its clock can be set; what measures time is not."""
    set_clock(clock, 0)
    return {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def can_mount(folder: Path) -> bool:
    """Whether this process may mount a small disk."""
    try:
        with small_disk(folder / "try", "64k"):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


def can_forbid_writing(folder: Path) -> bool:
    """Whether this process can make a file one that is not written, by those who have it open either."""
    file = folder / "try-immutable"
    with file.open("wb", buffering=0) as opened:
        try:
            subprocess.run(["chattr", "+i", str(file)], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            return False
        try:
            opened.write(b"written")
        except OSError:
            return True
        finally:
            subprocess.run(["chattr", "-i", str(file)], check=True, capture_output=True)
    return False


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of its own, of that size."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", str(folder)]
    subprocess.run(mount, check=True, capture_output=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
