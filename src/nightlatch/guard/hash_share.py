"""The share of a node's processors that goes to hashes for strangers while they guess.

A hash holds a processor for as long as hundreds of verifications take. Whoever guesses from everywhere could
hold all of them; so while more of what strangers show is wrong than right, as many of their hashes are
computed at once as the node has slots, over all its processes. A slot is a lock on a file: the system gives
it back when a process dies.
"""

import asyncio
import fcntl
import os
import secrets
from pathlib import Path
from typing import Final

POLL_SECONDS: Final = 0.005
"""A small part of what a hash takes."""
PATIENCE_SECONDS: Final = 1.0
"""Whoever has waited for so long goes on without a slot: a process that was stopped keeps its own."""


class HashShare:
    """So many slots in that folder, for whatever processes name it. One task of a process waits at a time."""

    def __init__(self, folder: Path, slots: int) -> None:
        self._files: Final = [
            os.open(folder / f"hash-slot-{number}", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            for number in range(slots)
        ]
        # A lock belongs to the open file, which this process has once.
        self._taken: set[int] = set()

    async def take(self) -> int | None:
        """A slot, to be given back; None after PATIENCE_SECONDS."""
        # The system tells nobody that a lock is free, but a thread that waits for nothing else.
        for _ in range(int(PATIENCE_SECONDS / POLL_SECONDS)):
            slot = self._free()
            if slot is not None:
                return slot
            await asyncio.sleep(POLL_SECONDS)
        return None

    def give_back(self, slot: int | None) -> None:
        """Let another hash have it; from any thread."""
        if slot is not None:
            fcntl.flock(self._files[slot], fcntl.LOCK_UN)
            self._taken.discard(slot)

    def close(self) -> None:
        """Give back everything."""
        for file in self._files:
            os.close(file)

    def _free(self) -> int | None:
        first = secrets.randbelow(len(self._files))
        for number in range(len(self._files)):
            slot = (first + number) % len(self._files)
            if slot in self._taken:
                continue
            try:
                fcntl.flock(self._files[slot], fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            self._taken.add(slot)
            return slot
        return None
