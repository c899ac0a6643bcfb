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
from typing import Any

import pytest
import uvloop
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
    await hasher.matches("a password", sys.argv[1], 20)
    print(hasher._process.pid, flush=True)
    await asyncio.sleep(600)  # until it is killed

asyncio.run(ask())
"""

WithHasher = Callable[[Callable[[IdleHasher], Awaitable[Any]]], Any]


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def with_hasher(request: pytest.FixtureRequest) -> WithHasher:
    """Runs work with a hasher, on an event loop as tests and tools have it, and on one as servers have it."""

    async def bounded(work: Callable[[IdleHasher], Awaitable[Any]]) -> Any:
        hasher = IdleHasher()
        try:
            async with asyncio.timeout(20):
                return await work(hasher)
        finally:
            await hasher.close()

    return lambda work: request.param(bounded(work))


def pid_of(hasher: IdleHasher) -> int:
    assert hasher._process is not None
    return hasher._process.pid


def test_it_finds_right_what_the_server_itself_finds_right(with_hasher: WithHasher) -> None:
    async def asked(hasher: IdleHasher) -> list[bool]:
        return [await hasher.matches(password, stored, 20) for stored in HASHES for password in PASSWORDS]

    expected = [password_matches(password, stored) for stored in HASHES for password in PASSWORDS]
    assert (with_hasher(asked), sum(expected)) == (expected, 3)


def test_it_is_one_process_of_the_idle_class_whose_arguments_tell_nothing(with_hasher: WithHasher) -> None:
    async def seen(hasher: IdleHasher) -> tuple[int, bytes, bool]:
        await hasher.matches("canary password", ARGON2, 20)
        pid = pid_of(hasher)
        await hasher.matches("canary password", ARGON2, 20)
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes()
        return os.sched_getscheduler(pid), arguments, pid_of(hasher) == pid

    policy, arguments, is_same = with_hasher(seen)
    assert (policy, is_same) == (os.SCHED_IDLE, True)
    assert b"canary" not in arguments
    assert ARGON2.encode() not in arguments


@pytest.mark.parametrize("is_noticed", [True, False])
def test_one_that_is_killed_is_followed_by_another(with_hasher: WithHasher, is_noticed: bool) -> None:
    async def asked(hasher: IdleHasher) -> tuple[bool, bool]:
        await hasher.matches(PASSWORD, ARGON2, 20)
        first = hasher._process
        assert first is not None
        first.kill()
        if is_noticed:
            await first.wait()
        return await hasher.matches(PASSWORD, ARGON2, 20), hasher._process is first

    assert with_hasher(asked) == (True, False)


def test_one_that_does_not_answer_in_time_is_ended_and_followed_by_another(with_hasher: WithHasher) -> None:
    async def asked(hasher: IdleHasher) -> tuple[int, bool]:
        await hasher.matches(PASSWORD, ARGON2, 20)
        pid = pid_of(hasher)
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(TimeoutError):
            await hasher.matches(PASSWORD, ARGON2, 0.1)
        return pid, await hasher.matches(PASSWORD, ARGON2, 20)

    pid, matched = with_hasher(asked)
    assert matched
    assert ends(pid)


def test_what_it_was_not_asked_is_no_answer(
    with_hasher: WithHasher, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('1 1')\nprint('2 1', flush=True)")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}")

    async def asked(hasher: IdleHasher) -> list[bool]:
        await hasher.matches("a wrong password", ARGON2, 20)
        return [await hasher.matches("a wrong password", ARGON2, 20) for _ in range(3)]

    with pytest.raises(ChildProcessError):
        with_hasher(asked)


def test_nothing_that_the_server_has_open_is_open_in_it(with_hasher: WithHasher) -> None:
    async def open_files(hasher: IdleHasher) -> set[str]:
        await hasher.matches(PASSWORD, ARGON2, 20)
        return {file.name for file in Path(f"/proc/{pid_of(hasher)}/fd").iterdir()}

    read, write = os.pipe()
    os.set_inheritable(write, True)
    try:
        assert with_hasher(open_files) == {"0", "1", "2"}
    finally:
        os.close(read)
        os.close(write)


def test_it_ends_when_its_server_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", TO_BE_KILLED, ARGON2], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        pid = int(server.stdout.readline())
        server.kill()
    assert ends(pid)


@pytest.mark.parametrize("command", [("/nowhere/python",), (sys.executable, "-c", "")])
def test_where_it_cannot_be_started_or_ends_at_once_whoever_asks_hears_so(
    with_hasher: WithHasher, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setattr(idle_hasher, "_COMMAND", command)
    with pytest.raises(OSError, match=r"No such file|no answer"):
        with_hasher(lambda hasher: hasher.matches(PASSWORD, ARGON2, 20))
