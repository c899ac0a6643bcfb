"""Where a request came from."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Origin:
    """A request's client address, user agent and id, as far as they are known; each may be empty."""

    address: str = ""
    user_agent: str = ""
    request_id: str = ""
