"""Tokens in the system's keyring. Needs the extra `keyring`."""

from pathlib import Path
from typing import Final

from nightlatch_client.cache import Lock
from nightlatch_client.errors import CacheError
from nightlatch_client.file_cache import FileCache
from nightlatch_client.kept import NOTHING, Entry, parse_entry

SERVICE: Final = "nightlatch-client"


class KeyringCache:
    """Keeps tokens in the system's keyring; only the files that are locked stand in `folder`."""

    slow = True
    """A keyring may ask its user for a password."""

    def __init__(self, folder: Path | str | None = None) -> None:
        try:
            import keyring
            import keyring.errors
        except ImportError:
            raise CacheError("KeyringCache needs the package keyring: pip install keyring.") from None
        self._keyring = keyring
        self._locks = FileCache(folder)

    def load(self, key: str) -> Entry:
        """The entry; NOTHING if there is none."""
        try:
            text = self._keyring.get_password(SERVICE, key)
        except self._keyring.errors.KeyringError as error:
            raise _unusable(error) from None
        return NOTHING if text is None else parse_entry(text)

    def store(self, key: str, entry: Entry) -> None:
        """Keep the entry."""
        try:
            self._keyring.set_password(SERVICE, key, entry.to_text())
        except self._keyring.errors.KeyringError as error:
            # `from None`: what a backend puts into its message may be what it was to keep.
            raise _unusable(error) from None

    def lock_nowait(self, key: str) -> Lock | None:
        """The key's lock, or None if somebody has it."""
        return self._locks.lock_nowait(key)


def _unusable(error: Exception) -> CacheError:
    return CacheError(
        f"The system's keyring cannot be used ({type(error).__name__}). Use FileCache or MemoryCache instead."
    )
