"""A process that gives way to everything else checks passwords as the server does, and never outlives it."""

import asyncio
import base64
import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest
from argon2 import PasswordHasher

from nightlatch.guard import idle_hasher
from nightlatch.guard.idle_hasher import IdleHasher
from nightlatch.guard.password_matches import normalize_password, password_matches
from tests.processes import ends

PASSWORD = 'Stra\u00dfe \u2460 \U0001f511 "\\\n\x7f'
ARGON2 = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(normalize_password(PASSWORD))
DIGEST = base64.b64encode(hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), b"some salt", 1000)).decode()
DJANGO = f"pbkdf2_sha256$1000$some salt${DIGEST}"
HASHES = (ARGON2, DJANGO, "$argon2id$malformed", "md5$some salt$00", "")
PASSWORDS = (PASSWORD, PASSWORD.replace("\u2460", "1"), "a wrong password", "", "\n", "\u00fc" * 512)
TO_BE_KILLED = """
import asyncio, sys
from nightlatch.guard.idle_hasher import IdleHasher

async def ask() -> None:
    hasher = IdleHasher()
    await hasher.matches("a password", sys.argv[1])
    print(hasher._process.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(ask())
"""

_Result = TypeVar("_Result")


def with_hasher(work: Callable[[IdleHasher], Awaitable[_Result]]) -> _Result:
    async def bounded() -> _Result:
        hasher = IdleHasher()
        try:
            async with asyncio.timeout(20):
                return await work(hasher)
        finally:
            await hasher.close()

    return asyncio.run(bounded())


def pid_of(hasher: IdleHasher) -> int:
    assert hasher._process is not None
    return hasher._process.pid


def test_it_finds_right_what_the_server_itself_finds_right() -> None:
    async def asked(hasher: IdleHasher) -> list[bool]:
        return [await hasher.matches(password, stored) for stored in HASHES for password in PASSWORDS]

    expected = [password_matches(password, stored) for stored in HASHES for password in PASSWORDS]
    assert (with_hasher(asked), sum(expected)) == (expected, 3)


def test_it_is_one_process_of_the_idle_class_whose_arguments_tell_nothing() -> None:
    async def seen(hasher: IdleHasher) -> tuple[int, bytes, bool]:
        await hasher.matches("canary password", ARGON2)
        pid = pid_of(hasher)
        await hasher.matches("canary password", ARGON2)
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes()
        return os.sched_getscheduler(pid), arguments, pid_of(hasher) == pid

    policy, arguments, is_same = with_hasher(seen)
    assert (policy, is_same) == (os.SCHED_IDLE, True)
    assert b"canary" not in arguments
    assert ARGON2.encode() not in arguments


def test_one_that_is_killed_is_followed_by_another() -> None:
    async def asked(hasher: IdleHasher) -> tuple[bool, bool]:
        await hasher.matches(PASSWORD, ARGON2)
        first = pid_of(hasher)
        os.kill(first, signal.SIGKILL)
        return await hasher.matches(PASSWORD, ARGON2), pid_of(hasher) == first

    assert with_hasher(asked) == (True, False)


def test_closed_it_ends_even_in_the_middle_of_a_hash() -> None:
    async def closed(hasher: IdleHasher) -> int:
        await hasher.matches(PASSWORD, ARGON2)
        pid = pid_of(hasher)
        os.kill(pid, signal.SIGSTOP)
        asked = asyncio.create_task(hasher.matches(PASSWORD, ARGON2))
        await asyncio.sleep(0)
        asked.cancel()
        await hasher.close()
        return pid

    assert ends(with_hasher(closed))


def test_it_ends_when_its_server_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", TO_BE_KILLED, ARGON2], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        pid = int(server.stdout.readline())
        server.kill()
    assert ends(pid)


@pytest.mark.parametrize("command", [("/nowhere/python",), (sys.executable, "-c", "")])
def test_where_it_cannot_be_started_or_ends_at_once_whoever_asks_hears_so(
    monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setattr(idle_hasher, "_COMMAND", command)
    with pytest.raises(OSError, match=r"nowhere|without an answer"):
        with_hasher(lambda hasher: hasher.matches(PASSWORD, ARGON2))
