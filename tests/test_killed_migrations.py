"""A migration that is killed at any of its statements, and run again, makes the schema all the same (ST4).

At each of up to SAMPLED statements; at every one with TEST_EVERY_STATEMENT=1.
"""

import multiprocessing
import os
import shutil
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests import killed_migration
from tests.conftest import DATABASES
from tests.postgresql import PostgresqlServer

pytestmark = pytest.mark.slow
SAMPLED = 24

# Imported once, by a process that everyone is forked from: the import takes longer than a migration.
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["tests.killed_migration"])


class Databases:
    """Databases of one kind; a new one is a copy of the start."""

    def __init__(self, kind: str, folder: Path, server: PostgresqlServer | None) -> None:
        self.kind = kind
        self._folder = folder
        self._server = server
        self._made = 0
        self._start = self._new(None)

    def prepare(self, revision: str | None) -> None:
        """Make the start: a database with the schema of that revision, or an empty one."""
        if revision is not None:
            process = _processes.Process(target=killed_migration.migrate_to, args=(self._start, revision))
            process.start()
            process.join()
            assert process.exitcode == 0

    def copy(self) -> str:
        """Another one that is like the start; its URL."""
        return self._new(self._start)

    def _new(self, template: str | None) -> str:
        self._made += 1
        if self._server is None:
            file = self._folder / f"{self._made}.db"
            if template is not None and Path(template.removeprefix("sqlite:///")).exists():
                shutil.copyfile(template.removeprefix("sqlite:///"), file)
            return f"sqlite:///{file}"
        if template is None:
            return self._server.create_database()
        url = f"{template}_{self._made}"
        self._server.execute(f"CREATE DATABASE {_name(url)} TEMPLATE {_name(template)}")
        return url

    def drop(self, url: str) -> None:
        """Remove it."""
        if self._server is not None:
            self._server.execute(f"DROP DATABASE {_name(url)} WITH (FORCE)")

    def schema(self, url: str) -> str:
        """All that a migration makes, as text: objects, the revision, and how many rows there are."""
        if self._server is not None:
            dump: list[str] = [str(self._server.program("pg_dump")), "--no-owner", f"--dbname={url}"]
            shown = subprocess.run(
                [*dump, "--exclude-table-data=installation", "--exclude-table-data=change_counter"],
                capture_output=True, text=True, check=True,
            ).stdout  # fmt: skip
            # Newer ones put a random word into these.
            return "\n".join(line for line in shown.splitlines() if "restrict " not in line)
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            objects = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY 1, 2")
            shown = "\n".join(map(str, objects))
            tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")
            for (table,) in tables.fetchall():
                rows = connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()
                shown += f"\n{table}: {rows}"
            return shown + str(connection.execute("SELECT * FROM alembic_version").fetchall())


def _name(url: str) -> str:
    return url.rpartition("/")[2]


def _migrate(url: str, killed_at: int | None, counted: Path) -> int:
    """The exit code, or a signal as a negative number."""
    process = _processes.Process(target=killed_migration.migrate, args=(url, killed_at, counted))
    process.start()
    process.join(60)
    assert process.exitcode is not None
    return process.exitcode


@pytest.mark.parametrize("revision", [None, "0001"])
@pytest.mark.parametrize("kind", DATABASES)
def test_a_migration_killed_at_a_statement_is_finished_by_the_next(
    kind: str, revision: str | None, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    server = None if kind == "sqlite" else request.getfixturevalue(kind.replace("-", "_"))
    databases = Databases(kind, tmp_path, server)
    databases.prepare(revision)
    counted = tmp_path / "counted"
    whole = databases.copy()
    assert _migrate(whole, None, counted) == 0
    expected = databases.schema(whole)
    statements = counted.stat().st_size
    assert statements > 10
    points = list(range(1, statements + 1))
    if os.environ.get("TEST_EVERY_STATEMENT") != "1":
        # The first and the last are among them.
        points = sorted({points[round(i * (statements - 1) / (SAMPLED - 1))] for i in range(SAMPLED)})
    for killed_at in points:
        url = databases.copy()
        assert _migrate(url, killed_at, counted) == -signal.SIGKILL, killed_at
        assert counted.stat().st_size == killed_at
        assert _migrate(url, None, counted) == 0, killed_at
        assert databases.schema(url) == expected, killed_at
        databases.drop(url)
