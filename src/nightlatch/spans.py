"""What a trace shows of a request: the request, and its parts that may take long.

Nobody looks at them unless a server was told to (`traces.py`): what is here costs a call and does nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Self


class Part:
    """A part of a request, from when it was made until it ends; ending it again does nothing."""

    def next(self, name: str) -> None:
        """End this part, and begin the one of that name in its place. May be called in any thread."""

    def end(self, error: BaseException | None = None) -> None:
        """The part is over; of an error only the type is told."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end(error)


class Asked:
    """A request that is being answered."""

    def answered(self, route: str, status: int, outcome: str) -> None:
        """What it turned out to be: a route and an outcome from closed lists; status 0 for no answer."""


class Spans:
    """What begins requests and their parts."""

    def part(self, name: str, system: str = "") -> Part:
        """A part of the request that is being answered here; seen by nobody where there is none.

        `system` names the database, if it is a use of one.
        """
        return _NO_PART

    @contextmanager
    def request(self, method: str, traceparent: str, request_id: str) -> Iterator[Asked]:
        """A request, answered when the block ends; what the caller says of its own trace goes no further."""
        yield Asked()


_NO_PART: Final = Part()
NO_SPANS: Final = Spans()
