"""Hashes in a process that gives way to everything else.

Linux takes a processor from a process of the idle class as soon as anything else wakes up, from any other
only when its turn is over, up to 4 ms later: the length of several verifications. A thread of that class
would not do, since it could be interrupted while it holds the interpreter's lock, for which all of the
server would then wait.
"""

import asyncio
import json
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from typing import Final

_COMMAND: Final = (sys.executable, "-P", "-m", "nightlatch.guard.hash_when_idle")


class IdleHasher:
    """One such process, started when it is first asked, and again when it has failed."""

    def __init__(self) -> None:
        self._process: Process | None = None
        self._questions = 0

    async def matches(self, password: str, password_hash: str, seconds_max: float) -> bool:
        """Whether the password is the hashed one; to be asked one at a time.

        Raises OSError when there can be no such process, TimeoutError when it has not answered in that time.
        """
        self._questions += 1
        number = self._questions
        question = json.dumps([number, password, password_hash]).encode("ascii") + b"\n"
        # Of no other question: an answer that was not waited for would be taken for this one's.
        answers = {b"%d 0\n" % number: False, b"%d 1\n" % number: True}
        try:
            async with asyncio.timeout(seconds_max):
                answer = b"" if self._process is None else await _ask(self._process, question)
                if answer not in answers:
                    await self.close()
                    self._process = await asyncio.create_subprocess_exec(
                        *_COMMAND, stdin=PIPE, stdout=PIPE, stderr=DEVNULL
                    )
                    answer = await _ask(self._process, question)
                if answer not in answers:
                    raise ChildProcessError("the process that hashes gave no answer")
                return answers[answer]
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """End the process; nothing is asked meanwhile."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _ask(process: Process, question: bytes) -> bytes:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(question)
        await process.stdin.drain()
        return await process.stdout.readline()
    except (OSError, RuntimeError, ValueError):
        # uvloop says RuntimeError where a pipe is closed; a line without end is a ValueError.
        return b""
