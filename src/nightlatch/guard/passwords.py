"""Password hashing: argon2id on a bounded number of threads.

Parameters follow the OWASP Password Storage Cheat Sheet (19 MiB, t=2, p=1).
"""

import secrets
from collections.abc import Awaitable, Callable
from typing import Final

from argon2 import PasswordHasher

from nightlatch.guard.django_passwords import is_django_hash, is_partly_checked
from nightlatch.guard.hash_share import HashShare
from nightlatch.guard.hash_threads import HashThreads
from nightlatch.guard.password_matches import normalize_password, password_matches
from nightlatch.spans import NO_SPANS, Spans

PASSWORD_BYTES_MAX: Final = 1024


def is_too_long(password: str) -> bool:
    """Whether a password exceeds what is ever hashed, in bytes of UTF-8 as it was sent."""
    return (
        len(password) > PASSWORD_BYTES_MAX
        or len(password.encode("utf-8", "surrogatepass")) > PASSWORD_BYTES_MAX
    )


class Passwords:
    """Hashes and checks passwords; memory and processor time are bounded by `threads`.

    With a `share`, passwords of strangers are checked there while they guess.
    """

    def __init__(
        self,
        *,
        memory_kib: int,
        time_cost: int,
        parallelism: int,
        threads: int,
        wait_seconds: float,
        spans: Spans = NO_SPANS,
        share: HashShare | None = None,
    ) -> None:
        self._share = share
        self._hasher = PasswordHasher(time_cost=time_cost, memory_cost=memory_kib, parallelism=parallelism)
        self._threads = HashThreads(threads, wait_seconds, spans)
        # Unknown accounts are checked against this, at the price of a real one.
        self._nobody = self._hasher.hash(secrets.token_urlsafe(32))

    async def hash(self, password: str) -> str:
        """The password's hash with all its parameters (PHC string). Raises Overloaded.

        For people who have shown who they are: they do not wait behind those who have not.
        """
        return await self._threads.run(
            lambda: self._hasher.hash(normalize_password(password)), preferred=True
        )

    async def unusable_hash(self) -> str:
        """A hash that no password matches, and that is checked at the price of any other.

        For a user who has no password yet. Raises Overloaded.
        """
        return await self.hash(secrets.token_urlsafe(32))

    async def matches(
        self,
        password: str,
        password_hash: str | None,
        begin: Callable[[], Awaitable[None]] | None = None,
        preferred: bool = False,
    ) -> bool:
        """Whether the password is the hashed one; None costs the same and never matches.

        Raises Overloaded when its turn does not come in time, and what `begin` raises, which is awaited
        when it has. With `preferred` it does not wait behind all those that are not.
        """
        checked, share = password_hash or self._nobody, self._share

        def aside() -> Callable[[], Awaitable[bool]] | None:
            if share is None or not share.strangers_guess:
                return None
            return lambda: share.matches(password, checked, begin)

        matched = await self._threads.run(
            lambda: password_matches(password, checked), begin, preferred, aside
        )
        matched = matched and password_hash is not None
        if share is not None and not preferred:
            share.note(matched)
        return matched

    def needs_rehash(self, password_hash: str, password: str) -> bool:
        """Whether the hash was made with other parameters than are set now, or by Django.

        Not where it leaves open what all of the password is that it fits.
        """
        if is_django_hash(password_hash):
            return not is_partly_checked(password, password_hash)
        return self._hasher.check_needs_rehash(password_hash)

    def turn_away_if_full(self) -> None:
        """Raise Overloaded where `matches` would at once, but for those whom it prefers."""
        if self.is_full:
            raise self._threads.overloaded()

    @property
    def is_full(self) -> bool:
        """Whether a stranger who comes now cannot have their turn in time."""
        return self._threads.is_full(self._share is not None and self._share.strangers_guess)

    @property
    def threads(self) -> int:
        """How many hashes are computed at once."""
        return self._threads.threads

    @property
    def pending(self) -> int:
        """How many hashes are being computed or waited for."""
        return self._threads.pending

    @property
    def hashed(self) -> int:
        """How many have been computed."""
        return self._threads.hashed

    def close(self) -> None:
        """Let the threads end; hashes under way are finished."""
        self._threads.close()
