"""Two real PostgreSQL servers, one the synchronous standby of the other, that change roles.

The standby replicates through a proxy, so that it can be cut off. A promoted one waits for no standby
until the other has been rebuilt as its own: so it serves at once.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import asyncpg

from tests.postgresql import PostgresqlServer, embedded_installation
from tests.robustness.proxy import Proxy

DATABASE = "nightlatch"
IN_SYNC_SECONDS_MAX = 30.0
_INCLUDED = "replication.conf"


class Replica(PostgresqlServer):
    """One server of a pair; it starts as a primary that waits for nobody."""

    def __init__(self, name: str) -> None:
        super().__init__(embedded_installation())
        self.name = name
        self.link = Proxy(self.port)
        """What the other one replicates through while this one is the primary."""
        self._configuration = (self.data / "postgresql.conf").read_text() + f"include '{_INCLUDED}'\n"
        self._configure()

    def url(self, database: str = DATABASE) -> str:
        """Of a database on this server alone."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def query(self, statement: str, *arguments: Any) -> list[Any]:
        """The statement's rows, on a connection of its own that waits for no standby."""

        async def run() -> list[Any]:
            settings = {"synchronous_commit": "local"}
            connection = await asyncpg.connect(self.url("postgres"), server_settings=settings)
            try:
                rows: list[Any] = await connection.fetch(statement, *arguments)
                return rows
            finally:
                await connection.close()

        return asyncio.run(run())

    def wait_for(self, standby: str) -> None:
        """Have commits wait for the standby of that name from now on; "": for none."""
        self._configure(synchronous_standby_names=standby)
        self._run("pg_ctl", "-D", str(self.data), "reload")

    def promote(self) -> None:
        """Make the standby a primary; return when it takes writes."""
        self._run("pg_ctl", "-D", str(self.data), "-w", "promote")

    def pause(self) -> None:
        """Stop all of its processes where they are."""
        for pid in self._processes():
            _send(pid, signal.SIGSTOP)
        # Those that were forked before the first of them, the parent of all, had stopped.
        for pid in self._processes():
            _send(pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let all of them go on."""
        for pid in reversed(self._processes()):
            _send(pid, signal.SIGCONT)

    def fence(self) -> None:
        """End it as a crash does, paused or not."""
        self.resume()
        self.stop("immediate")

    def follow(self, primary: "Replica") -> None:
        """Be rebuilt, while stopped, as the standby of that primary, and start."""
        for entry in self.data.iterdir():  # the folder itself is this server's, whoever runs this
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        connection = f"host=127.0.0.1 port={primary.link.port} user=postgres application_name={self.name}"
        self._run("pg_basebackup", "-D", str(self.data), "-d", connection, "--checkpoint=fast", "--no-sync")
        self._configure(primary_conninfo=connection)
        self._write("standby.signal", "")
        self.start()

    def remove(self) -> None:
        """Stop and delete everything."""
        self.link.stop()
        with contextlib.suppress(Exception):
            self.resume()
            self.stop()
        shutil.rmtree(self.folder)

    def _configure(self, **settings: str) -> None:
        settings |= {"wal_keep_size": "256MB", "wal_retrieve_retry_interval": "100ms"}
        self._write("postgresql.conf", self._configuration)
        self._write(_INCLUDED, "".join(f"{name} = '{value}'\n" for name, value in settings.items()))

    def _write(self, name: str, text: str) -> None:
        file = self.data / name
        file.write_text(text)
        if self._as_user:
            shutil.chown(file, "nobody", "nogroup")

    def _processes(self) -> list[int]:
        """The parent of all first."""
        main = int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
        children = Path(f"/proc/{main}/task/{main}/children").read_text()
        return [main, *map(int, children.split())]


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


class ReplicatedPair:
    """A primary and its synchronous standby, from `__enter__` to `__exit__`."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self.servers: list[Replica] = []

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            for name in ("east", "west"):
                server = Replica(name)
                stack.callback(server.remove)
                self.servers.append(server)
            self.primary, self.standby = self.servers
            self.primary.query(f"CREATE DATABASE {DATABASE}")
            self.standby.stop()
            self.rebuild()
            self._stack = stack.pop_all()
        return self

    def promote(self) -> None:
        """The standby becomes the primary; the other one, deposed, stays as it is, and is `standby` now."""
        self.standby.promote()
        self.primary, self.standby = self.standby, self.primary

    def rebuild(self) -> None:
        """Make the deposed primary, which has been ended, the synchronous standby of the primary."""
        self.standby.follow(self.primary)
        self.primary.wait_for(self.standby.name)
        self.wait_in_sync()

    def wait_in_sync(self) -> None:
        """Return when commits of the primary wait for the standby, and it answers. Raises TimeoutError."""
        deadline = time.monotonic() + IN_SYNC_SECONDS_MAX
        query = (
            "SELECT sync_state FROM pg_stat_replication WHERE application_name = $1 AND state = 'streaming'"
        )
        while [row["sync_state"] for row in self.primary.query(query, self.standby.name)] != ["sync"]:
            if time.monotonic() > deadline:
                raise TimeoutError("the standby does not replicate")
            time.sleep(0.02)

    def cut_link(self) -> None:
        """Let nothing pass between the standby and the primary."""
        self.primary.link.command("refuse")
        self.primary.link.command("cut")

    def heal_links(self) -> None:
        """Let the standby connect again."""
        for server in self.servers:
            server.link.command("heal")

    def url(self, *ports: int) -> str:
        """Of the database, reached through those ports; none: directly, both servers."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports or [server.port for server in self.servers])
        return f"postgresql://postgres@{hosts}/{DATABASE}"

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()
