"""Services that the client is tested against, each a real process: Nightlatch, and knox in Django."""

import contextlib
import secrets
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Protocol

from nightlatch_client import FileCache, TokenAuth
from nightlatch_client.testing import ManualClock
from tests.accounts import Accounts
from tests.client import knox_service
from tests.postgresql import free_port
from tests.serving import Serving

KINDS = ("nightlatch", "knox")


class Service(Protocol):
    """One user in one organization of a running service."""

    url: str
    username: str
    password: str
    organization_id: str

    def logins(self) -> int:
        """How many tokens were ever made."""

    def live_tokens(self) -> int:
        """How many are live."""

    def revoke_all(self) -> None:
        """End all tokens."""

    def expire_all(self) -> None:
        """Move all tokens' expiry into the past."""

    def stop(self) -> None:
        """Stop the process."""

    def start(self) -> None:
        """Start it again, on the same port."""

    def close(self) -> None:
        """End it for good."""


class NightlatchService:
    """An organization of its own in a server of two workers."""

    def __init__(self, folder: Path) -> None:
        self._accounts = Accounts(f"sqlite:///{folder}/nightlatch.db")
        self._serving = Serving(self._accounts.database_url, folder / "log", workers=2).wait_ready()
        self.url = f"http://127.0.0.1:{self._serving.port}"
        self.renew()

    def renew(self) -> None:
        """Another organization, whose tokens nobody has made yet."""
        person = self._accounts.add_person()
        self.username, self.password = person.username, person.password
        self.organization_id = person.organization_id

    def logins(self) -> int:
        rows = self._accounts.sql(
            "SELECT count(*) FROM event WHERE kind = 'login' AND organization_id = :id",
            id=self.organization_id,
        )
        return int(rows[0][0])

    def live_tokens(self) -> int:
        return self._accounts.live_tokens(self.organization_id)

    def revoke_all(self) -> None:
        self._accounts.sql("DELETE FROM token WHERE organization_id = :id", id=self.organization_id)

    def expire_all(self) -> None:
        self._accounts.sql(
            f"UPDATE token SET expiry = {self._accounts.an_hour_ago} WHERE organization_id = :id",
            id=self.organization_id,
        )

    def stop(self) -> None:
        self._serving.stop()

    def start(self) -> None:
        self._serving.restart()
        self._serving.wait_ready()

    def close(self) -> None:
        self._serving.stop()
        self._accounts.close()


class KnoxService:
    """A Django project with knox, in one process of many threads."""

    username = knox_service.USERNAME
    password = knox_service.PASSWORD
    organization_id = knox_service.ORGANIZATION_ID

    def __init__(self, folder: Path) -> None:
        self._file = folder / "knox.db"
        self._log = folder / "log"
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def renew(self) -> None:
        """No tokens, and none ever made."""
        self.revoke_all()
        self._logins.unlink(missing_ok=True)

    @property
    def _logins(self) -> Path:
        return self._file.with_name(self._file.name + ".logins")

    def logins(self) -> int:
        return len(self._logins.read_text().splitlines()) if self._logins.exists() else 0

    def live_tokens(self) -> int:
        return int(self._sql("SELECT count(*) FROM knox_authtoken WHERE expiry > datetime('now')"))

    def revoke_all(self) -> None:
        self._sql("DELETE FROM knox_authtoken")

    def expire_all(self) -> None:
        self._sql("UPDATE knox_authtoken SET expiry = datetime('now', '-1 hour')")

    def _sql(self, statement: str) -> int:
        with contextlib.closing(sqlite3.connect(self._file, timeout=30)) as connection, connection:
            row = connection.execute(statement).fetchone()
            return row[0] if row else 0

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.client.knox_service", str(self._file), str(self._port)],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self._port), 1).close()
                return
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the knox service did not start:\n{self._log.read_text()}")
            time.sleep(0.05)  # asked again: no server tells another process when it listens

    def close(self) -> None:
        self.stop()


def start_service(kind: str, folder: Path) -> NightlatchService | KnoxService:
    """A running service of that kind."""
    return NightlatchService(folder) if kind == "nightlatch" else KnoxService(folder)


def auth_for(service: Service, folder: Path, clock: ManualClock | None = None) -> TokenAuth:
    """Authentication for that service, with a cache in that folder."""
    return TokenAuth(
        service.url,
        service.username,
        service.password,
        service.organization_id,
        cache=FileCache(folder),
        clock=clock,
    )


def random_word() -> str:
    """A password that occurs nowhere else."""
    return secrets.token_hex(16)
