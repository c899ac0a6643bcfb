"""A process that checks passwords when no processor has anything else to do.

It is of Linux's idle class: whatever wakes up takes the processor from it at once, and from any other
only at that one's next turn, up to 4 ms later. It is a process, since a thread of that class would be
interrupted while it holds the interpreter's lock, and all of the server would wait for it.

Run as `python -m nightlatch.guard.idle_hasher`, it answers each line, a JSON array of password and hash, with
a line: 1 or 0. It ends with its input, which is when whoever started it ends, however that comes.
"""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from typing import Final

from nightlatch.guard.password_matches import password_matches

_COMMAND: Final = (sys.executable, "-P", "-m", "nightlatch.guard.idle_hasher")


class IdleHasher:
    """One such process, started when it is first asked, and again when it has been killed."""

    def __init__(self) -> None:
        self._process: Process | None = None

    async def matches(self, password: str, password_hash: str) -> bool:
        """Whether the password is the hashed one; to be asked one at a time, and to the end.

        Raises OSError when there can be no such process.
        """
        question = json.dumps([password, password_hash]).encode("ascii") + b"\n"
        answer = b"" if self._process is None else await self._ask(self._process, question)
        if not answer:
            self.close()
            self._process = await asyncio.create_subprocess_exec(
                *_COMMAND, stdin=PIPE, stdout=PIPE, stderr=DEVNULL
            )
            answer = await self._ask(self._process, question)
        if not answer:
            raise ChildProcessError("a process that hashes ended at once")
        return answer == b"1\n"

    def close(self) -> None:
        """End the process; what it is asked is answered no more."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            self._process = None

    async def _ask(self, process: Process, question: bytes) -> bytes:
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(question)
            await process.stdin.drain()
        return await process.stdout.readline()


def _answer_all() -> None:
    # What ends the server by keyboard ends its input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    for line in sys.stdin.buffer:
        password, password_hash = json.loads(line)
        print(int(password_matches(password, password_hash)), flush=True)


if __name__ == "__main__":
    _answer_all()
