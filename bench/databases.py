"""Databases to measure on: each section gets a new one, which is gone when it ends."""

import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.accounts import Accounts
from tests.postgresql import PostgresqlServer, embedded_installation

from bench.machine import LOAD_CORE, pin

SQLITE: Final = "sqlite"
POSTGRESQL: Final = "postgresql-18"
KINDS: Final = (SQLITE, POSTGRESQL)


@dataclass(frozen=True, slots=True)
class Database:
    """A database with our tables and nothing in them. `folder` is for whatever the section keeps."""

    kind: str
    url: str
    folder: Path
    server: PostgresqlServer | None

    @property
    def file(self) -> Path | None:
        """The SQLite file, None on PostgreSQL."""
        return None if self.server is not None else Path(self.url.removeprefix("sqlite:///"))

    def pin(self, cores: Collection[int]) -> None:
        """Keep the database server's processes, those to come as well, on those cores."""
        if self.server is not None:
            pin(int((self.server.data / "postmaster.pid").read_text().split()[0]), cores)


@contextmanager
def new_database(kind: str) -> Iterator[Database]:
    """A database of that kind, with a server of its own on LOAD_CORE where it needs one."""
    folder = Path(tempfile.mkdtemp(prefix="nightlatch-bench-"))
    server = PostgresqlServer(embedded_installation()) if kind == POSTGRESQL else None
    try:
        url = f"sqlite:///{folder}/bench.db" if server is None else server.create_database()
        database = Database(kind, url, folder, server)
        database.pin(LOAD_CORE)
        Accounts(url).close()  # migrates
        yield database
    finally:
        if server is not None:
            server.remove()
        shutil.rmtree(folder)


@contextmanager
def accounts_on(database: Database, **settings: int) -> Iterator[Accounts]:
    """The use cases on the database, for the bench's own process."""
    accounts = Accounts(database.url, **settings)
    try:
        yield accounts
    finally:
        accounts.close()
