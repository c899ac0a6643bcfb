"""X-Forwarded-For: whom a request comes from when proxies stand in between, told by trusted ones only.

`is_told_by_proxy` says of what else a request tells, by X-Forwarded-…, whether a trusted proxy told it, and
`told_address` for whom: a proxy's own address is none.
"""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Final

from starlette.types import ASGIApp, Receive, Scope, Send

from nightlatch.model.scope import parse_address

_HEADER: Final = b"x-forwarded-for"
_ADDRESSES_MAX: Final = 4096
_HOPS_MAX: Final = 20
_TRUSTED: Final = "nightlatch.trusted_proxy"


def is_told_by_proxy(scope: Scope) -> bool:
    """Whether the request came from a trusted proxy; it is then to be believed whom it asks about."""
    return _TRUSTED in scope


def told_address(scope: Scope) -> str:
    """The client's address as a trusted proxy told it; empty where none did, or told a trusted proxy's."""
    address: str = scope.get(_TRUSTED, "")
    return address


class ForwardedFor:
    """Puts the client's own address where the server has put the proxy's.

    Each proxy appends whom it was asked by, so that the list is read from its end: up to the first
    address that is no trusted proxy's. What is left of it anybody may have written; what is no
    address ends the reading.
    """

    def __init__(self, app: ASGIApp, trusted: Sequence[IPv4Network | IPv6Network]) -> None:
        self._app = app
        self._trusted = tuple(trusted)
        self._is_trusted = lru_cache(_ADDRESSES_MAX)(self._in_networks)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        """What the server awaits."""
        if scope["type"] == "http" and scope["client"]:
            peer = scope["client"][0]
            if self._is_trusted(peer):
                address = self._client(peer, scope["headers"])
                scope["client"] = (address, 0)
                scope[_TRUSTED] = "" if self._is_trusted(address) else address
        return self._app(scope, receive, send)

    def _client(self, peer: str, headers: Sequence[tuple[bytes, bytes]]) -> str:
        hops = b",".join(value for name, value in headers if name == _HEADER).decode("latin-1").split(",")
        address = peer
        for hop in reversed(hops[-_HOPS_MAX:]):
            asked = parse_address(hop.strip())
            if asked is None:
                break
            address = str(asked)
            if not self._is_trusted(address):
                break
        return address

    def _in_networks(self, text: str) -> bool:
        address = parse_address(text)
        return address is not None and any(address in network for network in self._trusted)
