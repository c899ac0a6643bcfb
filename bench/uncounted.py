"""`nightlatch` with uses gathered as they were before they were counted: the last of each token only.

To be run as a program: the worker processes, which are started afresh, run this file first as well.
"""

from collections.abc import Sequence
from typing import Any

from tests.reopened import replace_everywhere, replace_method

from nightlatch.hot import uses
from nightlatch.hot.uses import Uses
from nightlatch.model.use import Use


def _note(self: Any, digest: bytes, seconds: float, address: str) -> None:
    latest = self._gathered
    if len(latest) < uses.TOKENS_MAX or digest in latest:
        latest[digest] = (seconds, address)


def _take(self: Any) -> list[Use]:
    gathered, self._gathered = self._gathered, {}
    return [Use(digest, seconds, address, 1) for digest, (seconds, address) in gathered.items()]


def _leave_uncounted() -> None:
    async def add_nothing(_: object, __: Sequence[Use]) -> None:
        pass

    replace_method(Uses, "note", _note)
    replace_method(Uses, "take", _take)
    import nightlatch.usecases.flush_uses  # noqa: F401 - what is replaced has been imported there

    replace_everywhere("nightlatch.store.token_usage", "add_usage", lambda _: add_nothing)


_leave_uncounted()

if __name__ == "__main__":
    from nightlatch.cli.main import run

    run()
