"""A real PostgreSQL server that archives its log, and is recovered to a point in time."""

import contextlib
import shutil
import time
from pathlib import Path

from tests.postgresql import PostgresqlServer

SECONDS_MAX = 30.0


class ArchivingServer(PostgresqlServer):
    """One server; base backups and its archive are beside its data. Commands as docs/backup.md has them."""

    def __init__(self, installation: Path) -> None:
        super().__init__(installation)
        self.archive = self._folder("archive")
        self.base = self._folder("base")
        self.configure(
            fsync="off",  # no power is lost here, and a base backup is a thousand files
            archive_mode="on",
            archive_command=f"test ! -f {self.archive}/%f && cp %p {self.archive}/%f",
        )
        self.stop("fast")
        self.start()

    def back_up(self) -> None:
        """A base backup, made while it runs."""
        where = f"host=127.0.0.1 port={self.port} user=postgres"
        self._run(
            "pg_basebackup", f"--pgdata={self.base}", f"--dbname={where}", "--checkpoint=fast", "--no-sync"
        )

    def lose(self) -> None:
        """End it as a crash does once all of its log is archived, and remove its data."""
        self.execute("CHECKPOINT")
        self.execute("SELECT pg_switch_wal()")
        deadline = time.monotonic() + SECONDS_MAX
        while list((self.data / "pg_wal" / "archive_status").glob("*.ready")):
            if time.monotonic() > deadline:
                raise TimeoutError("the log is not archived")
            time.sleep(0.05)  # asked again: PostgreSQL archives in a process of its own
        self.stop("immediate")
        shutil.rmtree(self.data)

    def recover(self, target: str) -> None:
        """Start from the base backup, as everything was at that time; return when it takes writes."""
        self.base.rename(self.data)
        settings = {
            "restore_command": f"cp {self.archive}/%f %p",
            "recovery_target_time": target,
            "recovery_target_action": "promote",
        }
        with (self.data / "postgresql.auto.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        (self.data / "recovery.signal").touch()
        if self._as_user:
            shutil.chown(self.data / "recovery.signal", "nobody", "nogroup")
        self.start()
        deadline = time.monotonic() + SECONDS_MAX
        while True:
            # It refuses writes until the target has been reached.
            with contextlib.suppress(Exception):
                self.execute("CREATE TABLE recovered ()")
                return
            if time.monotonic() > deadline:
                raise TimeoutError((self.data / "log").read_text())
            time.sleep(0.05)  # asked again: PostgreSQL does not tell when its recovery is over

    def _folder(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir(mode=0o700)
        if self._as_user:
            shutil.chown(folder, "nobody", "nogroup")
        return folder
