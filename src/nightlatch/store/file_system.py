"""Which file system a file is on. SQLite's shared memory and locks hold on local ones only (H24)."""

import re
from pathlib import Path
from typing import Final

from nightlatch.model.errors import CannotStart

NOT_LOCAL: Final = re.compile(
    r"9p|afs|beegfs|ceph|cifs|gfs2|glusterfs|lustre|nfs4?|ocfs2|smb3|smbfs|virtiofs"
    r"|fuse\.(ceph|glusterfs|s3fs|sshfs)"
)
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")


def file_system(path: Path, mounts: str) -> str:
    """The type of the file system that `path` is on, by the text of /proc/self/mountinfo."""
    found, longest = "", -1
    for line in mounts.splitlines():
        before, separator, after = line.partition(" - ")
        if not separator:
            continue
        point = Path(_ESCAPED.sub(lambda match: chr(int(match[1], 8)), before.split(" ")[4]))
        # Of two mounts on one point the later one is seen.
        if path.is_relative_to(point) and len(point.parts) >= longest:
            found, longest = after.split(" ")[0], len(point.parts)
    return found


def check_local(path: Path) -> None:
    """Raise CannotStart where several machines, or a machine and its guest, may share the file."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape")
    except OSError:
        return  # no Linux, or no /proc: nothing is known
    kind = file_system(path.resolve(), mounts)
    if NOT_LOCAL.fullmatch(kind):
        raise CannotStart(
            f"database_url (NIGHTLATCH_DATABASE_URL): {path} is on a file system of type {kind}. "
            "SQLite needs a local one: name a file on a disk of this machine, or use PostgreSQL."
        )
