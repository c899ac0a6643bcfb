"""Checks of an SQLite file and of where it is."""

import os
import shutil
import stat
from pathlib import Path
from typing import Final

from nightlatch.doctor.finding import Finding, ok, problem, warning
from nightlatch.model.errors import CannotStart, StoreUnavailable
from nightlatch.store.file_system import check_local
from nightlatch.store.sqlite_state import find_faults

FREE_BYTES_MIN: Final = 100 * 1024**2


def check_place(file: Path) -> list[Finding]:
    """All that can be told of the file without opening it; one finding, a problem, where there is none."""
    if not file.exists():
        return [
            problem("database", f"there is no file {file}", "Name another one, or run: nightlatch migrate")
        ]
    checks = (check_file_system, check_file_owner, check_file_mode, check_folder_mode, check_free_disk)
    return [check(file) for check in checks]


def check_file_system(file: Path) -> Finding:
    """The file is on a local file system: elsewhere its locks do not hold."""
    try:
        check_local(file)
    except CannotStart as error:
        return problem("file system", error.public, "Move it to a disk of this machine.")
    return ok("file system", "local")


def check_file_mode(file: Path) -> Finding:
    """Only the owner may read the file: it holds the hashes of passwords and tokens."""
    files = [path for ending in ("", "-wal", "-shm") if (path := Path(f"{file}{ending}")).exists()]
    open_ones = [path for path in files if path.stat().st_mode & 0o077]
    if open_ones:
        shown = ", ".join(f"{path} has mode {stat.S_IMODE(path.stat().st_mode):04o}" for path in open_ones)
        return problem("file mode", shown, f"Run: chmod 600 {' '.join(map(str, open_ones))}")
    return ok("file mode", f"{file}: 0600, for its owner only")


def check_file_owner(file: Path) -> Finding:
    """Who runs this is who serves: what one may do the other may."""
    owner = file.stat().st_uid
    if owner != os.geteuid():
        return warning(
            "file owner",
            f"the file belongs to user {owner}, and this was run by user {os.geteuid()}",
            "Run this as the user that serves, so that it finds what a server would find.",
        )
    return ok("file owner", "the user who runs this")


def check_folder_mode(file: Path) -> Finding:
    """Nobody else can put another file in the database's place."""
    folder = file.parent
    mode = stat.S_IMODE(folder.stat().st_mode)
    found = f"{folder} has mode {mode:04o}"
    if mode & 0o022:
        return problem("folder mode", f"{found}: others can replace the database", f"Run: chmod 700 {folder}")
    if mode & 0o077:
        return warning("folder mode", found, f"Others can see what is in it. Run: chmod 700 {folder}")
    return ok("folder mode", found)


def check_pages(file: Path) -> list[Finding]:
    """The file can be used as servers use it, and is sound."""
    try:
        faults = find_faults(file)
    except CannotStart as error:
        return [problem("durability", error.public, "Move the file to a disk of this machine.")]
    except StoreUnavailable as error:
        return [problem("integrity", error.detail, "Restore a backup: nightlatch restore FILE")]
    durability = ok("durability", "write-ahead log, synchronous=FULL")
    if faults:
        return [
            durability,
            problem("integrity", "; ".join(faults), "Restore a backup: nightlatch restore FILE"),
        ]
    return [durability, ok("integrity", "quick check passed")]


def check_free_disk(file: Path) -> Finding:
    """There is room to write, and for a backup in the same place."""
    free, size = shutil.disk_usage(file.parent).free, file.stat().st_size
    found = f"{free // 1024**2} MiB free, the database has {size // 1024**2} MiB"
    if free < FREE_BYTES_MIN:
        return problem("free disk", found, "Make room: with a full disk nobody can log in or out.")
    if free < 2 * size:
        return warning("free disk", found, "Make room: a restore needs as much as the database twice.")
    return ok("free disk", found)
