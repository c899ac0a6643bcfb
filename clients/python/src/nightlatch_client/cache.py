"""Where tokens are kept, so that those who have the same credentials share one."""

import os
import threading
from collections import defaultdict
from typing import Protocol

from nightlatch_client.kept import NOTHING, Entry


class Lock(Protocol):
    """A lock that is held."""

    def release(self) -> None:
        """Let go of it; never blocks, never raises. May be called in another thread."""


class Cache(Protocol):
    """Keeps one entry under each key. All methods may be called in any thread.

    A key names service, user and organization by a digest. Whoever stores holds the key's lock.
    """

    slow: bool
    """Whether it may block for longer than reading a small file takes: then an event loop uses a thread."""

    def load(self, key: str) -> Entry:
        """The entry; NOTHING if there is none. Raises CacheError."""

    def store(self, key: str, entry: Entry) -> None:
        """Keep the entry. Raises CacheError, and then what was there is there."""

    def lock_nowait(self, key: str) -> Lock | None:
        """The key's lock, or None if somebody has it. Raises CacheError."""


class MemoryCache:
    """Keeps tokens for as long as the process lives; those who share the object share the tokens."""

    slow = False

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._locks: defaultdict[tuple[int, str], threading.Lock] = defaultdict(threading.Lock)

    def load(self, key: str) -> Entry:
        """The entry; NOTHING if there is none."""
        return self._entries.get(key, NOTHING)

    def store(self, key: str, entry: Entry) -> None:
        """Keep the entry."""
        self._entries[key] = entry

    def lock_nowait(self, key: str) -> Lock | None:
        """The key's lock, or None if somebody has it."""
        # By process: in a child, nobody would release a lock that was held as it was forked.
        lock = self._locks[os.getpid(), key]
        return lock if lock.acquire(blocking=False) else None
