"""What an SQLite file says of itself."""

from contextlib import closing
from pathlib import Path

from nightlatch.store.failures import translated
from nightlatch.store.sqlite_file import READ_BUSY_SECONDS, open_file


def find_faults(file: Path) -> list[str]:
    """The first faults of the file's pages; reads all of it, and nobody waits for that.

    The connection is as a server's. Raises CannotStart where that mode cannot be had, or StoreUnavailable.
    """
    with translated(), closing(open_file(file, READ_BUSY_SECONDS)) as connection:
        faults = [" ".join(str(row[0]).split()) for row in connection.execute("PRAGMA quick_check(3)")]
    return [] if faults == ["ok"] else faults
