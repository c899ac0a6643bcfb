"""`nightlatch serve` for tests: the same server, whose workers can be disturbed from outside.

Run as `python -m tests.robustness.server serve …`. In each worker:

* SIGUSR1 blocks the event loop for 0.2 to 1 s, as a bug or a paged-out process would;
* SIGUSR2 begins a slow spell of 2 s, for patches that are made for it (see patches.py);
* with TEST_VERIFIER=1 it is no server, but a service with a verifier in its process (verifier.py);
* the patches named in TEST_PATCHES (comma-separated) are applied before anything is built;
* GET /test/process/ tells the process's id, so that a client knows who is behind its connection.
  Every other request goes to Nightlatch as it came.
"""

import asyncio
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import nightlatch.server
from nightlatch.settings import Settings

VARIABLE = "TEST_PATCHES"
VERIFIER_VARIABLE = "TEST_VERIFIER"
PROCESS_PATH = "/test/process/"
STALL_SECONDS = (0.2, 1.0)
SLOW_SPELL_SECONDS = 2.0

_load = nightlatch.server._load
_slow_until = 0.0


def is_slow_spell() -> bool:
    """Whether a slow spell is on in this process."""
    return time.monotonic() < _slow_until


def _begin_slow_spell() -> None:
    global _slow_until
    _slow_until = time.monotonic() + SLOW_SPELL_SECONDS


def _stall() -> None:
    time.sleep(random.uniform(*STALL_SECONDS))


def load(settings: Settings, metrics: Path) -> Any:
    """What granian calls in each worker in place of Nightlatch's own loader."""
    from tests.robustness.patches import PATCHES

    for name in filter(None, os.environ.get(VARIABLE, "").split(",")):
        PATCHES[name]()
    if os.environ.get(VERIFIER_VARIABLE):
        from tests.robustness.verifier import built_service

        nightlatch.server._built = built_service
    return _Disturbed(_load(settings, metrics))


class _Disturbed:
    """The worker's application, with signals and one path of the test's own."""

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGUSR1, _stall)
            loop.add_signal_handler(signal.SIGUSR2, _begin_slow_spell)
        elif scope["path"] == PROCESS_PATH:
            body = str(os.getpid()).encode()
            headers = [(b"content-length", str(len(body)).encode())]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})
            return
        await self._application(scope, receive, send)


def main() -> None:
    """The `nightlatch` command, with the loader above."""
    from nightlatch.cli.main import run

    # A worker that is still starting must not be ended by a signal meant for one that runs: what is
    # ignored here stays ignored in processes started from here.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    nightlatch.server._load = load
    run()


if __name__ == "__main__":
    # Imported by its name, so that workers can find `load`: pickled from here it would be `__main__.load`.
    from tests.robustness import server

    server.main()
