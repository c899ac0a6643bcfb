"""Whether anything uses an SQLite file: a lock on a file beside it, FILE-in-use.

Every process of ours holds it, shared with the others, from before it opens the database until after it
has closed it; whoever replaces the file holds it alone. The system lets go of it when its holder
ends, however it ends. SQLite's own locks do not tell enough: a server that has just
started has not opened the database yet.

It is a file of its own because closing any descriptor of the database's file would drop the
locks of SQLite in this process (howtocorrupt.html, 2.2).
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nightlatch.model.errors import CannotStart, Refused


def hold_shared(database: Path) -> int:
    """The descriptor that holds the lock until it is closed. Raises CannotStart during a restore."""
    descriptor = _open(database)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise CannotStart(
            f"{database} is being restored at the moment. Try again when that is done."
        ) from None
    return descriptor


@contextmanager
def held_alone(database: Path) -> Iterator[None]:
    """Nothing of ours uses the file in the block. Raises Refused where something does, at once."""
    descriptor = _open(database)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise in_use(database) from None
        yield
    finally:
        os.close(descriptor)


def in_use(database: Path) -> Refused:
    """The error that says so."""
    return Refused(
        f"{database} is in use. Stop every server on it, every program with a verifier, and every "
        "shell of SQLite; then try again. Nothing was changed."
    )


def give_to_owner(file: Path, database: Path) -> None:
    """Let a file that root made beside the database belong to whom the database belongs to."""
    if os.geteuid() == 0:
        owner = os.stat(database if database.exists() else database.parent)
        os.chown(file, owner.st_uid, owner.st_gid)


def _open(database: Path) -> int:
    path = Path(f"{database}-in-use")
    try:
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            return os.open(path, os.O_RDWR | os.O_CLOEXEC)
        give_to_owner(path, database)
        return descriptor
    except OSError as error:
        raise CannotStart(
            f"database_url (NIGHTLATCH_DATABASE_URL): {path} cannot be opened: {error.strerror}. "
            "This user has to be able to write to it, and to the folder."
        ) from None
