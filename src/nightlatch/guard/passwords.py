"""Password hashing: argon2id on a bounded number of threads.

Parameters follow the OWASP Password Storage Cheat Sheet (19 MiB, t=2, p=1). How Unicode is
normalised is decision record 0002: NFKC, as NIST SP 800-63B-4 section 3.1.1.2 advises.
"""

import asyncio
import contextlib
import os
import secrets
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError, VerifyMismatchError

from nightlatch.model.errors import InvalidValue, Overloaded

PASSWORD_BYTES_MAX: Final = 1024
NICENESS: Final = 5

_Result = TypeVar("_Result")


def normalize_password(password: str) -> str:
    """The form of a password that is hashed: NFKC, so that it does not depend on the keyboard."""
    return unicodedata.normalize("NFKC", password)


def is_too_long(password: str) -> bool:
    """Whether a password exceeds what is ever hashed, in bytes of UTF-8 as it was sent."""
    return (
        len(password) > PASSWORD_BYTES_MAX
        or len(password.encode("utf-8", "surrogatepass")) > PASSWORD_BYTES_MAX
    )


def check_new_password(password: str) -> None:
    """Raise InvalidValue unless the password may be set."""
    if not password:
        raise InvalidValue("password", "The password is empty.")
    if is_too_long(password):
        raise InvalidValue("password", f"The password has more than {PASSWORD_BYTES_MAX} bytes.")
    for character in password:
        # Cs cannot be stored, Cc cannot be typed again, and how a later Unicode normalises what is
        # not assigned yet (Cn) is not known: the password could stop working.
        if unicodedata.category(character) in ("Cc", "Cn", "Cs"):
            raise InvalidValue(
                "password", "The password has a control character or one that Unicode does not define."
            )


def _give_way_to_requests() -> None:
    """A hash takes a processor for 20 ms, a request for some microseconds: it comes first.

    Linux has a priority for each thread; a request gets three quarters of a processor that both want.
    """
    niceness = os.getpriority(os.PRIO_PROCESS, 0) + NICENESS
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)


class Passwords:
    """Hashes and checks passwords; memory and processor time are bounded by `threads`."""

    def __init__(
        self, *, memory_kib: int, time_cost: int, parallelism: int, threads: int, wait_seconds: float
    ) -> None:
        self._hasher = PasswordHasher(time_cost=time_cost, memory_cost=memory_kib, parallelism=parallelism)
        self._wait_seconds = wait_seconds
        # One more for each thread than it works on: it goes on at once, without waiting for the loop.
        self._turns = asyncio.Semaphore(2 * threads)
        self._pool = ThreadPoolExecutor(
            threads, thread_name_prefix="password-hash", initializer=_give_way_to_requests
        )
        # Unknown accounts are checked against this, at the price of a real one.
        self._nobody = self._hasher.hash(secrets.token_urlsafe(32))

    async def hash(self, password: str) -> str:
        """The password's hash with all its parameters (PHC string). Raises Overloaded."""
        return await self._in_turn(lambda: self._hasher.hash(normalize_password(password)))

    async def matches(self, password: str, password_hash: str | None) -> bool:
        """Whether the password is the hashed one; None costs the same and never matches.

        Raises Overloaded when its turn does not come in time.
        """
        return await self._in_turn(lambda: self._verify(password, password_hash))

    def needs_rehash(self, password_hash: str) -> bool:
        """Whether the hash was made with other parameters than are set now."""
        return self._hasher.check_needs_rehash(password_hash)

    def close(self) -> None:
        """Let the threads end; hashes under way are finished."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _verify(self, password: str, password_hash: str | None) -> bool:
        try:
            self._hasher.verify(password_hash or self._nobody, normalize_password(password))
        except (VerifyMismatchError, InvalidHashError, Argon2Error):
            return False
        return password_hash is not None

    async def _in_turn(self, work: Callable[[], _Result]) -> _Result:
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._turns.acquire()
        except TimeoutError:
            raise Overloaded(
                "Too many logins at the moment. Try again later.",
                f"no turn to hash within {self._wait_seconds} s",
            ) from None
        future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        # The turn ends with the thread's work, even if whoever waits for it has gone.
        future.add_done_callback(lambda _: self._turns.release())
        return await asyncio.shield(future)
