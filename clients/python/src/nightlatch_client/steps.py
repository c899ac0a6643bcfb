"""What a flow asks its driver to do. A flow is a generator without any I/O; a driver does the I/O,
in one way for threads, in another for an event loop, and sends back what came of it.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Use:
    """Send the caller's request with this token. Sent back: the answer's status, or None if it is not
    ours.
    """

    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the service. Sent back: an Answer.

    `once`: the body holds a password, and must not be sent a second time: no redirect may carry it on.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    once: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service answered; header names in any letter case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait so many seconds. Sent back: None."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Call:
    """Call this; `slow`: it may block for longer than reading a small file. Sent back: its result."""

    function: Callable[[], Any] = field(repr=False)
    slow: bool = False


Step = Use | Ask | Pause | Call
Flow = Generator[Step, Any, _Result]
