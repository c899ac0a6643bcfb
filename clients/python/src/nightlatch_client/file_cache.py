"""Tokens in files that only their owner can read, shared by all the owner's processes on a machine."""

import contextlib
import os
import secrets
import stat
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Final, TypeVar

from nightlatch_client.cache import Lock
from nightlatch_client.errors import CacheError
from nightlatch_client.kept import NOTHING, Entry, parse_entry

_BYTES_MAX: Final = 64 * 1024
_WAY_OUT: Final = "Pass another cache: TokenAuth(…, cache=FileCache(folder)) or cache=MemoryCache()."

_Result = TypeVar("_Result")


def cache_folder() -> Path:
    """Where tokens are kept by default: below XDG_CACHE_HOME, else ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification: a relative path is to be ignored.
    root = Path(base) if os.path.isabs(base) else Path.home() / ".cache"
    return root / "nightlatch-client"


class FileCache:
    """A file of mode 0600 for each key, in a folder of mode 0700, beside it a file that is locked.

    The folder must be on a file system with flock(2) that is the machine's own: locks do not reach others.
    """

    slow = False

    def __init__(self, folder: Path | str | None = None) -> None:
        self._folder = cache_folder() if folder is None else Path(folder)

    def __repr__(self) -> str:
        return f"FileCache({str(self._folder)!r})"

    def load(self, key: str) -> Entry:
        """The entry; NOTHING if there is none. Raises CacheError if somebody else could have read or made
        it.
        """
        return self._tried(lambda: self._load(self._folder / f"{key}.json"))

    def store(self, key: str, entry: Entry) -> None:
        """Keep the entry: a reader sees the old one or the new one, never a part."""
        self._tried(lambda: self._store(self._folder / f"{key}.json", entry))

    def lock_nowait(self, key: str) -> Lock | None:
        """The key's lock, or None if somebody has it. The system releases it when its process dies."""
        return self._tried(lambda: self._lock(self._folder / f"{key}.lock"))

    def _tried(self, work: Callable[[], _Result]) -> _Result:
        try:
            return work()
        except OSError as error:
            raise CacheError(f"{self._folder} cannot be used: {error.strerror}. {_WAY_OUT}") from error

    def _load(self, path: Path) -> Entry:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return NOTHING
        try:
            status = os.fstat(descriptor)
            if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
                raise CacheError(
                    f"{path} holds a token and may be used by its owner only. "
                    f"If you trust what is in it: chown and chmod 600; else delete it and revoke the token."
                )
            return parse_entry(os.read(descriptor, _BYTES_MAX).decode("utf-8", "replace"))
        finally:
            os.close(descriptor)

    def _store(self, path: Path, entry: Entry) -> None:
        self._make_folder()
        temporary = path.with_name(f"{path.stem}.{secrets.token_hex(8)}.new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(entry.to_text())
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise

    def _lock(self, path: Path) -> Lock | None:
        try:
            import fcntl
        except ImportError:
            raise CacheError(f"This system has no flock. {_WAY_OUT}") from None
        self._make_folder()
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        return _FileLock(descriptor, lambda held: fcntl.flock(held, fcntl.LOCK_UN))

    def _make_folder(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = self._folder.stat()
        if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o022:
            raise CacheError(
                f"Others may write into {self._folder}, and could plant a token there. Have it chmod 700, "
                f"or: {_WAY_OUT}"
            )


class _FileLock:
    """A descriptor of its own: so it excludes the process's other threads too."""

    held: ClassVar["weakref.WeakSet[_FileLock]"] = weakref.WeakSet()

    def __init__(self, descriptor: int, unlock: Callable[[int], None]) -> None:
        self._descriptor = descriptor
        self._unlock = unlock
        self.held.add(self)

    def __del__(self) -> None:
        # It may have arrived for a task that was cancelled meanwhile.
        self.release()

    def release(self) -> None:
        """Let go of it, also for a child process that was forked meanwhile and has the descriptor too."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            self._unlock(descriptor)
            os.close(descriptor)

    @classmethod
    def leave_to_parent(cls) -> None:
        """In a child that was forked: it would hold the lock for as long as it lives, should its parent die.
        Closed only, as unlocking would be the parent's too.
        """
        for lock in list(cls.held):
            descriptor, lock._descriptor = lock._descriptor, -1
            if descriptor >= 0:
                os.close(descriptor)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_FileLock.leave_to_parent)
