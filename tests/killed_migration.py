"""`nightlatch migrate` in a process that kills itself with SIGKILL at one of its statements."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from alembic import command
from sqlalchemy import Connection, Engine, event

from nightlatch.cli.main import run
from nightlatch.store.engine import open_engines
from nightlatch.store.schema import _configuration


def migrate(database_url: str, killed_at: int | None, counted: Path) -> None:
    """Migrate; before statement number `killed_at` (from 1) is sent, or after the last one, the process dies.

    None: it goes on to the end. Each statement is a byte in the file `counted`.
    """
    kept = os.open(counted, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

    def count(*_: Any) -> None:
        os.write(kept, b".")
        if os.fstat(kept).st_size == killed_at:
            os.kill(os.getpid(), signal.SIGKILL)

    # The statements of every engine; COMMIT is none of them, and comes after the last.
    event.listen(Engine, "before_cursor_execute", count)
    event.listen(Engine, "commit", count)
    os.environ["NIGHTLATCH_DATABASE_URL"] = database_url
    sys.argv = ["nightlatch", "migrate"]
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - to the end of the process
    run()


def migrate_to(database_url: str, revision: str) -> None:
    """Bring the schema of an empty database to an older revision, as the server of that time did."""

    def upgrade(connection: Connection) -> None:
        configuration = _configuration()
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, revision)

    async def work() -> None:
        engines = open_engines(database_url)
        try:
            await engines.writing.run_sync(upgrade)
        finally:
            await engines.close()

    asyncio.run(work())
