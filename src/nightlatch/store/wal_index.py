"""The head of an SQLite file's WAL index: what SQLite itself looks at to see whether anything changed.

In WAL mode every commit, of whatever process, ends by writing a new header into the shared memory
file `-shm`, in two copies of 48 bytes, the second one first (sqlite.org/walformat.html, section 2.2).
The header holds the number of frames in the log, a checksum over all of them and salts that change when
the log begins anew: two equal headers mean the same content. A read transaction of SQLite begins by
comparing these bytes with those it saw last; so do we, without the transaction.

Rules:

* The file is opened and mapped while a connection of this process holds it open, and stays open to the
  end of the process: closing any descriptor of it would drop SQLite's locks (howtocorrupt.html, 2.2).
* Where the two copies differ a commit is under way, or its writer died in it: nothing is known.
"""

import mmap
import os
from collections.abc import Callable
from functools import partial
from operator import getitem
from pathlib import Path
from typing import Any, Final

HEADER_BYTES: Final = 96
_kept: Final[list[mmap.mmap]] = []
"""Never closed, see above."""


class WalIndex:
    """The mapped header. The caller holds a connection that has read the file in WAL mode."""

    def __init__(self, database: Path) -> None:
        self._path = f"{database}-shm"
        self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        self._mapped = mmap.mmap(self._descriptor, mmap.PAGESIZE, mmap.MAP_SHARED, mmap.PROT_READ)
        _kept.append(self._mapped)
        # Without a function of ours around it: it is read for each request.
        self.read: Callable[[], Any] = partial(getitem, self._mapped, slice(HEADER_BYTES))
        """The header as it is at this moment, both copies, in bytes."""

    def is_in_place(self) -> bool:
        """Whether the file is still where another process would look for it."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), os.stat(self._path))
        except OSError:
            return False


def is_whole(header: bytes) -> bool:
    """Whether no commit was under way when the header was read."""
    return header[: HEADER_BYTES // 2] == header[HEADER_BYTES // 2 :]
