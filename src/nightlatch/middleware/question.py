"""What is asked about a request: by every framework alike, of either back end."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from nightlatch.middleware.caller import Caller


@dataclass(frozen=True, slots=True)
class Question:
    """Whose token is this, and may it be used for this request?

    `authorization` is the header's value, empty where there is none; of several, all joined by a comma.
    With `organization_id` the token must be of that organization. `target` is path and query as they were
    received, percent-encoded. `client_address` is noted as the token's last.
    """

    authorization: bytes = field(repr=False)
    client_address: str = ""
    organization_id: str | None = None
    method: str = "GET"
    target: str = "/"
    origin: str | None = None


Ask = Callable[[Question], Awaitable[Caller]]
"""Returns the caller, or raises Refusal; what it says was true at a moment after it was called."""


class BackEnd(Protocol):
    """Where the answer comes from. Holds settings only, so that it may be made before a fork."""

    def opened(self) -> AbstractAsyncContextManager[Ask]:
        """Ready to be asked, on the running event loop. Raises CannotStart and Unavailable."""
