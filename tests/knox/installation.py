"""Services to move in from: Django projects made by knox's own code, of several versions.

The versions that the development environment has not are installed from hashed requirements into a folder
beside it, once.
"""

import hashlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.postgresql import free_port

HERE = Path(__file__).parent
PROJECT = HERE.parent.parent
MARIADBD = Path("/usr/sbin/mariadbd")


def installed(requirements: str) -> Path:
    """A folder with these requirements, made when it is first asked for."""
    file = HERE / f"requirements-{requirements}.txt"
    folder = PROJECT / ".venv" / "knox" / hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    if not folder.exists():
        folder.parent.mkdir(exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=folder.parent))
        subprocess.run(
            [
                *("python3", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"),
                *("--require-hashes", "--target", str(made), "--requirement", str(file)),
            ],
            check=True,
        )
        made.replace(folder)
    return folder


@dataclass(frozen=True)
class Installation:
    """A service with users and tokens: where its database is, and what was made there."""

    service: str
    name: str
    url: str
    made: dict[str, Any]
    export: Path
    wanted: dict[str, Any]
    path: str

    @property
    def tokens(self) -> list[dict[str, Any]]:
        return list(self.made["tokens"])

    def do(self, code: str) -> None:
        """Run code in the project."""
        run_project(self.path, self.wanted | {"do": code})


def run_project(path: str, wanted: dict[str, Any]) -> str:
    """What the project writes."""
    done = subprocess.run(
        [sys.executable, str(HERE / "project.py")],
        input=json.dumps(wanted).encode(),
        capture_output=True,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": path, "LC_ALL": "C.UTF-8"},
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr.decode())
    return done.stdout.decode()


def install(
    version: str,
    url: str,
    folder: Path,
    organizations: int = 4,
    users: int = 2,
    tokens: int = 10,
    prefix: str = "",
    slow_hashes: bool = False,
) -> Installation:
    """Make a service: `version` is 4.2, 5.0 or 5.1 of knox, or drf."""
    service = "drf" if version == "drf" else "knox"
    name = f"v{version.replace('.', '')}x{secrets.token_hex(3)}"
    path = [] if version in ("5.1", "drf") else [str(installed(version))]
    if url.startswith("postgresql:"):
        path.append(str(installed("psycopg")))
    wanted = {
        "service": service,
        "name": name,
        "database": _django_database(url),
        "organizations": organizations,
        "users": users,
        "tokens": 1 if service == "drf" else tokens,  # there is one for each user
        "prefix": prefix,
        "slow_hashes": slow_hashes,
        "export": str(folder / "export.jsonl"),
        "models": ["authtoken.token" if service == "drf" else "knox.authtoken"],
    }
    made = json.loads(run_project(":".join(path), wanted))
    return Installation(service, name, url, made, folder / "export.jsonl", wanted, ":".join(path))


def _django_database(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": parts.path[1:]}
    engine = "postgresql" if parts.scheme == "postgresql" else "mysql"
    return {
        "ENGINE": f"django.db.backends.{engine}",
        "NAME": parts.path.lstrip("/"),
        "USER": parts.username,
        "PASSWORD": parts.password or "",
        "HOST": parts.hostname,
        "PORT": parts.port,
    }


class MariadbServer:
    """A MariaDB of its own, in a temporary folder, on a free port."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="nightlatch-mariadb-"))
        self.port = free_port()
        self._databases = 0
        as_user: dict[str, Any] = {}
        if os.geteuid() == 0:
            as_user = {"user": "nobody", "group": "nogroup", "extra_groups": []}
            shutil.chown(self.folder, "nobody", "nogroup")
        data = self.folder / "data"
        subprocess.run(
            [
                *("mariadb-install-db", "--no-defaults", f"--datadir={data}"),
                *("--auth-root-authentication-method=normal", "--skip-test-db"),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            **as_user,
        )
        self._process = subprocess.Popen(
            [
                *(str(MARIADBD), "--no-defaults", f"--datadir={data}", f"--port={self.port}"),
                *("--bind-address=127.0.0.1", f"--socket={self.folder}/socket", "--skip-log-bin"),
                *(f"--pid-file={self.folder}/pid", "--innodb-flush-log-at-trx-commit=0"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            **as_user,
        )
        self._execute_when_ready("CREATE USER django@'127.0.0.1' IDENTIFIED BY 'secret'")
        self._execute_when_ready("GRANT ALL ON *.* TO django@'127.0.0.1'")

    def _execute_when_ready(self, statement: str) -> None:
        import pymysql

        deadline = time.monotonic() + 60
        while True:
            opened = socket.socket(socket.AF_UNIX)
            try:
                opened.connect(f"{self.folder}/socket")
                connection = pymysql.connect(user="root", defer_connect=True)
                connection.connect(opened)
                break
            except (OSError, pymysql.MySQLError):
                opened.close()  # which the driver leaves to the garbage collector
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise
                time.sleep(0.1)
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)

    def create_database(self) -> str:
        """A new empty database; its URL."""
        self._databases += 1
        self._execute_when_ready(f"CREATE DATABASE test{self._databases} CHARACTER SET utf8mb4")
        return f"mysql://django:secret@127.0.0.1:{self.port}/test{self._databases}"

    def remove(self) -> None:
        """Stop and delete everything."""
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self.folder)
