"""Copying an SQLite database while others use it, and putting a copy in a database's place.

A copy is made by SQLite's own backup API inside one read transaction: it holds what was committed when
it began, and writers go on meanwhile. What is under a name of its own is whole: checked, and on the disk.
"""

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote

from nightlatch.model.errors import Refused
from nightlatch.store.file_system import check_local
from nightlatch.store.in_use import give_to_owner, held_alone, hold_shared, in_use

PAGES_AT_ONCE: Final = 1024
"""Between two reports of progress: 4 MiB."""

Progress = Callable[[str], None]
"""Is told what is being done, many times a second; says so to whom it concerns, or not."""


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was made: its size, its SHA-256 in hexadecimal digits, and the schema's revision."""

    file: Path
    size_bytes: int
    sha256: str
    revision: str


def back_up(database: Path, file: Path, progress: Progress) -> Backup:
    """Copy the database to `file`, which must not exist; it is for its owner only.

    The name is taken at once, so that nobody else's file is overwritten, and stands for an empty
    file until the copy is complete: then it has been checked and is on the disk. Raises Refused.
    """
    in_use_shared = hold_shared(database)
    try:
        file = file.resolve()
        _create(file)
        try:
            partial = file.with_name(f"{file.name}.partial")
            copied = _copied(database, partial, progress)
            os.replace(partial, file)
            _sync(file.parent)
        except BaseException:
            file.unlink()
            raise
        with file.open("rb") as reading:
            digest = hashlib.file_digest(reading, "sha256").hexdigest()
        return Backup(file, file.stat().st_size, digest, copied)
    finally:
        os.close(in_use_shared)


_COMPANIONS: Final = ("-wal", "-shm", "-journal")


@dataclass(frozen=True, slots=True)
class Place:
    """`copy` is going to be the database; `kept` is the name that the one before gets, if there is one."""

    copy: Path
    kept: Path | None


@contextmanager
def taking_place(database: Path, backup: Path, progress: Progress) -> Iterator[Place]:
    """A copy of the backup, to be changed in the block, takes the database's place when the block ends.

    In one step, and only if the block ends without an error and has closed the copy. The database
    before is kept. Nothing of ours can open the database meanwhile. Raises Refused where something
    uses it, or the backup is none; then everything is as it was.
    """
    check_local(database)
    with held_alone(database), ExitStack() as stack:
        # To the microsecond: a restore that was killed may have kept it under this second's name.
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        kept = database.with_name(f"{database.name}.before-restore-{moment}")
        existed = database.exists()
        if existed:
            # To the end: a shell of SQLite, which knows nothing of our lock, is kept out too.
            stack.enter_context(_alone_in_sqlite(database))
        copy = database.with_name(f"{database.name}.restoring")
        for name in (f"{copy}{ending}" for ending in ("", *_COMPANIONS, "-in-use")):
            with suppress(FileNotFoundError):
                os.unlink(name)  # of a restore that was killed
        _copied(backup, copy, progress)
        try:
            yield Place(copy, kept if existed else None)
            _make_one_file(copy)
            give_to_owner(copy, database)
            _keep(database, kept)
            os.replace(copy, database)
            _sync(database.parent)
        finally:
            for name in (f"{copy}{ending}" for ending in ("", *_COMPANIONS, "-in-use")):
                with suppress(FileNotFoundError):
                    os.unlink(name)


def _copied(source: Path, target: Path, progress: Progress) -> str:
    """Copy to `target`, which must not exist; the schema's revision. Raises Refused, leaving nothing."""
    _create(target)
    try:
        with closing(_opened(source, "ro")) as reading, closing(_opened(target, "rw")) as writing:
            # In a transaction that has read, all of the copy is of one moment, whatever is committed.
            reading.execute("BEGIN")
            reading.execute("SELECT count(*) FROM sqlite_master").fetchone()
            reading.backup(writing, pages=PAGES_AT_ONCE, progress=_percent(progress))
            # A backup without companions can be read wherever it is put.
            writing.execute("PRAGMA journal_mode = DELETE").fetchone()
            progress("checking the copy")
            revision = _checked(writing, source)
        _sync(target)
        return revision
    except BaseException as error:
        target.unlink()
        if isinstance(error, sqlite3.Error):
            raise Refused(f"{source} cannot be copied to {target}: {error}. Nothing was changed.") from error
        raise


def _percent(progress: Progress) -> Callable[[int, int, int], None]:
    def tell(_: int, remaining: int, total: int) -> None:
        progress(f"{100 * (total - remaining) // max(total, 1)} % copied")

    return tell


def _checked(copy: sqlite3.Connection, source: Path) -> str:
    """The schema's revision, after every page, index and constraint was looked at. Raises Refused."""
    faults = [" ".join(str(row[0]).split()) for row in copy.execute("PRAGMA integrity_check(3)")]
    if faults != ["ok"]:
        raise Refused(f"{source} is damaged: {'; '.join(faults)}. Nothing was changed.")
    try:
        (revision,) = copy.execute("SELECT version_num FROM alembic_version").fetchone()
        copy.execute("SELECT epoch FROM change_counter").fetchone()
    except (sqlite3.Error, TypeError):
        raise Refused(f"{source} is no database of Nightlatch. Nothing was changed.") from None
    return str(revision)


def _opened(file: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(file.resolve()))}?mode={mode}", uri=True, isolation_level=None)


def _create(file: Path) -> None:
    try:
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        raise Refused(f"{file} exists already, and is not overwritten. Name another file.") from None
    except OSError as error:
        raise Refused(f"{file} cannot be created: {error.strerror}.") from None


def _sync(path: Path) -> None:
    """Return when the file, or what a folder lists, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_one_file(database: Path) -> None:
    with closing(_opened(database, "rw")) as connection:
        (mode,) = connection.execute("PRAGMA journal_mode = DELETE").fetchone()
    if mode != "delete":
        raise RuntimeError(f"the copy is still open: journal_mode {mode}")
    _sync(database)


@contextmanager
def _alone_in_sqlite(database: Path) -> Iterator[None]:
    """Nobody has the file open through SQLite in the block, and its log is written back.

    Leaving the mode with a write-ahead log needs that no other connection is there. A file too
    damaged for that is let pass: it may be why there is a restore. Raises Refused.
    """
    connection = _opened(database, "rw")
    try:
        connection.execute("PRAGMA busy_timeout = 0")
        try:
            connection.execute("PRAGMA journal_mode = DELETE").fetchone()
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.DatabaseError as error:
            if "locked" in str(error):
                raise in_use(database) from None
            # Closed now: later it could delete the log of the database that takes this one's name.
            connection.close()
        yield
    finally:
        connection.close()


def _keep(database: Path, kept: Path) -> None:
    """Give it a second name: were there none under its own for a moment, a server would make one."""
    with suppress(FileNotFoundError):
        os.link(database, kept)
    # Of a damaged file, or one that was moved away. The log of one database must never be found beside
    # another: SQLite would write what is in it into the one that has been put there.
    for ending in _COMPANIONS:
        with suppress(FileNotFoundError):
            os.rename(f"{database}{ending}", f"{kept}{ending}")
    _sync(database.parent)
