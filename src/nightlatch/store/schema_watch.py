"""Whether tokens can be read, and the schema is one that this server can use: asked twice a second."""

import asyncio
import time
from pathlib import Path
from typing import Final

from sqlalchemy import String, column, select, table

from nightlatch.model.errors import StoreUnavailable
from nightlatch.store.connection import Connection
from nightlatch.store.store import Store
from nightlatch.store.tables import installation
from nightlatch.version import is_newer

EVERY_SECONDS: Final = 0.5
SECONDS_MAX: Final = 0.4

_REVISION: Final = select(table("alembic_version", column("version_num", String)).c.version_num)
_OLDEST_SERVER: Final = select(installation.c.oldest_server)


def needed_revision() -> str:
    """The last migration of this version. Read from file names: workers do not import Alembic."""
    folder = Path(__file__).parent / "migrations" / "versions"
    return max(file.name[1:].partition("_")[0] for file in folder.glob("r*_*.py"))


class SchemaWatch:
    """Remembers what was found last. While the database does not answer in time, that goes on to count."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._needed = needed_revision()
        self._asked = 0.0
        self._fault: str | None = None

    async def check(self) -> None:
        """Raise StoreUnavailable if the schema does not fit, or cannot be read; `detail` says what helps."""
        if time.monotonic() - self._asked >= EVERY_SECONDS:
            self._asked = time.monotonic()
            try:
                async with asyncio.timeout(SECONDS_MAX), self._store.read() as connection:
                    self._fault = await self._find_fault(connection)
            except TimeoutError:
                pass  # all connections may be in use; whether the database is there is asked elsewhere
            except StoreUnavailable as error:
                # As when it takes no writes: the feed has its connection still, requests get no new one.
                self._fault = error.detail or error.code
        if self._fault is not None:
            raise StoreUnavailable("The database is not ready. Try again later.", self._fault)

    async def _find_fault(self, connection: Connection) -> str | None:
        revision = (await connection.execute(_REVISION)).scalar()
        if revision is None or revision < self._needed:
            return f"the schema is at revision {revision}, not {self._needed}: run nightlatch migrate"
        oldest = (await connection.execute(_OLDEST_SERVER)).scalar_one()
        return f"the schema needs nightlatch {oldest} or later" if is_newer(oldest) else None
