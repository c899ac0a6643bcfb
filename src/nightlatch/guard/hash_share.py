"""The share of a node's processors that goes to hashes for strangers while they guess.

A hash holds a processor for as long as hundreds of verifications take. Whoever guesses from everywhere could
hold all of them; so while more of what strangers show is wrong than right, as many of their hashes are
computed at once as the node has slots, over all its processes, where a processor has nothing else to do; and
each slot rests after its hash. A slot is a lock on a file: the system gives it back when a process dies.
"""

import asyncio
import fcntl
import os
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from nightlatch.guard.idle_hasher import IdleHasher
from nightlatch.guard.too_many_logins import too_many_logins

POLL_SECONDS: Final = 0.005
"""A small part of what a hash takes."""
PATIENCE_SECONDS: Final = 1.0
"""Whoever has waited for so long goes on without a slot: a process that was stopped keeps its own."""
HASH_SECONDS_MAX: Final = 5.0
"""What takes longer is given up. Ours take 0.02 s, imported ones up to a second or two."""
RESTS: Final = 1.0
"""How long a slot rests after a hash, as a multiple of what that took: half of the time is for requests."""
LAST_SHOWN: Final = 8
"""Passwords that strangers have shown last; while more of them were wrong than right, they are guessing."""


class HashShare:
    """So many slots in that folder, for whatever processes name it; each of them hashes one at a time."""

    def __init__(self, folder: Path, slots: int) -> None:
        self._files: Final = [
            os.open(folder / f"hash-slot-{number}", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            for number in range(slots)
        ]
        # A lock belongs to the open file, which this process has once.
        self._taken: set[int] = set()
        self._shown: deque[bool] = deque(maxlen=LAST_SHOWN)
        self._hasher = IdleHasher()
        # Held until the rest after a hash is over.
        self._hashing = asyncio.Lock()
        self._under_way: set[asyncio.Task[bool]] = set()
        self._closed = False

    def note(self, matched: bool) -> None:
        """A stranger has shown a right password, or a wrong one."""
        self._shown.append(matched)

    @property
    def strangers_guess(self) -> bool:
        """Whether more of what strangers have shown last was wrong than right."""
        return self._shown.count(False) > self._shown.count(True)

    async def matches(
        self, password: str, password_hash: str, begin: Callable[[], Awaitable[None]] | None
    ) -> bool:
        """Whether the password is the hashed one; `begin` is awaited when the slot has come, before the hash.

        Raises what `begin` raises, and Overloaded where the hash is not to be had: then nothing is known of
        what strangers have shown, so that nobody is shut out for longer. When whoever asks has gone, the hash
        goes on.
        """
        slot: int | None = None
        await self._hashing.acquire()
        try:
            self._check_open()
            slot = await self.take()
            if begin is not None:
                await begin()
            self._check_open()
            task = asyncio.create_task(self._hash(slot, password, password_hash))
        except BaseException:
            self._end_turn(slot)
            raise
        self._under_way.add(task)
        task.add_done_callback(self._end)
        return await asyncio.shield(task)

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
        """Let another hash have it."""
        if slot is not None and not self._closed:
            fcntl.flock(self._files[slot], fcntl.LOCK_UN)
            self._taken.discard(slot)

    async def close(self) -> None:
        """Give back everything, and end what is under way."""
        self._closed = True
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        await self._hasher.close()
        for file in self._files:
            os.close(file)

    async def _hash(self, slot: int | None, password: str, password_hash: str) -> bool:
        begun = time.monotonic()
        try:
            return await self._hasher.matches(password, password_hash, HASH_SECONDS_MAX)
        except OSError as error:
            self._shown.clear()
            raise too_many_logins(f"not hashed aside: {error or 'too slow'}") from error
        finally:
            # Beyond that nobody would wait for it.
            rest = min(RESTS * (time.monotonic() - begun), PATIENCE_SECONDS)
            asyncio.get_running_loop().call_later(rest, self._end_turn, slot)

    def _end_turn(self, slot: int | None) -> None:
        self.give_back(slot)
        self._hashing.release()

    def _check_open(self) -> None:
        if self._closed:
            raise too_many_logins("the server is being stopped")

    def _end(self, task: asyncio.Task[bool]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited has it; if nobody did, it is no news

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
