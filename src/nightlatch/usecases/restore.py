"""Restore an SQLite database from a backup."""

from dataclasses import dataclass
from pathlib import Path

from nightlatch.counts import Counts
from nightlatch.model.records import StartedOver
from nightlatch.store.engine import open_engines, sqlite_url
from nightlatch.store.schema import migrate
from nightlatch.store.sqlite_copy import Progress, taking_place
from nightlatch.store.store import Store
from nightlatch.usecases.start_over import started_over


@dataclass(frozen=True, slots=True)
class Restored:
    """What was ended and has to be looked through, and where the database before is kept."""

    started_over: StartedOver
    kept: Path | None


async def restore(database: Path, backup: Path, progress: Progress) -> Restored:
    """Put the backup in the database's place, with its schema brought up to date and all its tokens ended.

    That is done to a copy, before it takes the place: at no moment can a server open one that has
    them. Raises Refused while anything uses the database, and where the backup is none; then nothing
    was changed. Raises CannotStart for a backup of a later version.
    """
    with taking_place(database, backup, progress) as place:
        engines = open_engines(sqlite_url(place.copy))
        try:
            await migrate(engines)
            async with Store(engines, Counts()).write() as connection:
                over = await started_over(connection)
        finally:
            await engines.close()
    return Restored(over, place.kept)
