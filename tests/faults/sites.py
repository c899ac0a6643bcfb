"""Where faults are brought about: a database, a server on it with one worker, and what can break there."""

import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.accounts import Accounts
from tests.faults.breakage import (
    FAKETIME,
    LEASE_SECONDS,
    ClockStepped,
    DatabaseGone,
    DiskFull,
    Fault,
    NoDescriptors,
    PostgresqlReadOnly,
    SqliteReadOnly,
    can_forbid_writing,
    can_mount,
    clock_environment,
    small_disk,
)
from tests.postgresql import PostgresqlServer, embedded_installation
from tests.serving import Serving

DESCRIPTORS = 128
STEPS = (3600, -3600, 86400, -86400)
SQLITE_NOTICES_SECONDS = 1.2
"""A server on SQLite looks every second whether its clock was set."""
POSTGRESQL_NOTICES_SECONDS = 2 * LEASE_SECONDS
"""With each read of the change feed."""
LIMITED = ("prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}")
RATES: dict[str, Any] = {"failed_logins_per_account": "10 per 30m", "failed_logins_per_address": "50 per 5m"}

_migrating = threading.Lock()
"""Alembic has one migration at a time in a process."""


@dataclass
class Site:
    """A database and a server on it, and the faults that come over them one after another."""

    database: str
    accounts: Accounts
    serving: Serving
    faults: list[Fault]
    sqlite_file: Path | None = None


@dataclass(frozen=True)
class Plan:
    """How a site is made, and what has to be there for it: a test, and words for who lacks it."""

    name: str
    built: Callable[[Path], Iterator[Site]]
    possible: Callable[[Path], bool]
    needs: str


def _serving(
    stack: ExitStack, url: str, folder: Path, starter: tuple[str, ...] = LIMITED
) -> tuple[Accounts, Serving]:
    with _migrating:
        accounts = Accounts(url)
    stack.callback(accounts.close)
    serving = Serving(
        url, folder / "server.log", starter=starter, use_flush_seconds=0.2, **RATES
    ).wait_ready()
    stack.callback(serving.stop)
    return accounts, serving


def _sqlite_small(folder: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        disk = stack.enter_context(small_disk(folder / "disk", "8m"))
        file = disk / "nightlatch.db"
        accounts, serving = _serving(stack, f"sqlite:///{file}", folder)
        yield Site("SQLite", accounts, serving, [DiskFull(disk)], file)


def _sqlite(folder: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        file = folder / "nightlatch.db"
        accounts, serving = _serving(stack, f"sqlite:///{file}", folder)
        faults: list[Fault] = [NoDescriptors(serving, DESCRIPTORS, keeps) for keeps in (True, False)]
        yield Site("SQLite", accounts, serving, faults, file)


def _sqlite_forbidden(folder: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        file = folder / "nightlatch.db"
        accounts, serving = _serving(stack, f"sqlite:///{file}", folder)
        yield Site("SQLite", accounts, serving, [SqliteReadOnly(file)], file)


def _sqlite_clock(folder: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        file, clock = folder / "nightlatch.db", folder / "clock"
        url = f"sqlite:///{file}"
        starter = ("env", *(f"{name}={value}" for name, value in clock_environment(clock).items()))
        accounts, serving = _serving(stack, url, folder, starter)
        faults: list[Fault] = [
            ClockStepped(clock, step, SQLITE_NOTICES_SECONDS, url, starter) for step in STEPS
        ]
        yield Site("SQLite", accounts, serving, faults, file)


def _postgresql_small(folder: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        disk = stack.enter_context(small_disk(folder / "disk", "120m"))
        server = PostgresqlServer(embedded_installation(), data=disk / "data")
        stack.callback(server.remove)
        accounts, serving = _serving(stack, server.create_database(), folder)
        yield Site("PostgreSQL 18", accounts, serving, [DiskFull(disk, server)])


def _postgresql(folder: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        server = PostgresqlServer(embedded_installation())
        stack.callback(server.remove)
        accounts, serving = _serving(stack, server.create_database(), folder)
        faults: list[Fault] = [
            DatabaseGone(server),
            PostgresqlReadOnly(server),
            *(NoDescriptors(serving, DESCRIPTORS, keeps) for keeps in (True, False)),
        ]
        yield Site("PostgreSQL 18", accounts, serving, faults)


def _postgresql_clock(folder: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        clock = folder / "clock"
        server = PostgresqlServer(embedded_installation(), environment=clock_environment(clock))
        stack.callback(server.remove)
        url = server.create_database()
        accounts, serving = _serving(stack, url, folder)
        faults: list[Fault] = [
            ClockStepped(clock, step, POSTGRESQL_NOTICES_SECONDS, url, ()) for step in STEPS
        ]
        yield Site("PostgreSQL 18", accounts, serving, faults)


def _always(folder: Path) -> bool:
    return True


def _has_faketime(folder: Path) -> bool:
    return FAKETIME is not None


_MOUNT = "the right to mount a small disk"
_FAKETIME = "Debian's faketime"
PLANS = (
    Plan("sqlite, small disk", _sqlite_small, can_mount, _MOUNT),
    Plan("sqlite, forbidden", _sqlite_forbidden, can_forbid_writing, "ext4, and the right to chattr +i"),
    Plan("sqlite, clock", _sqlite_clock, _has_faketime, _FAKETIME),
    Plan("sqlite", _sqlite, _always, ""),
    Plan("postgresql, small disk", _postgresql_small, can_mount, _MOUNT),
    Plan("postgresql", _postgresql, _always, ""),
    Plan("postgresql, clock", _postgresql_clock, _has_faketime, _FAKETIME),
)


@contextmanager
def built(plan: Plan) -> Iterator[Site]:
    """The plan's site, in a folder that PostgreSQL's user reaches; taken down when the block ends."""
    with tempfile.TemporaryDirectory(prefix="nightlatch-faults-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with contextmanager(plan.built)(folder) as site:
            yield site
