"""X-Forwarded-For: whom a request comes from when proxies stand in between, told by trusted ones only."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, Final

from starlette.types import ASGIApp, Receive, Scope, Send

_HEADER: Final = b"x-forwarded-for"
_ADDRESSES_MAX: Final = 4096
_ADDRESS_CHARACTERS_MAX: Final = 45
_HOPS_MAX: Final = 20


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
                scope["client"] = (self._client(peer, scope["headers"]), 0)
        return self._app(scope, receive, send)

    def _client(self, peer: str, headers: Sequence[tuple[bytes, bytes]]) -> str:
        hops = b",".join(value for name, value in headers if name == _HEADER).decode("latin-1").split(",")
        address = peer
        for hop in reversed(hops[-_HOPS_MAX:]):
            asked = _parse(hop.strip())
            if asked is None:
                break
            address = str(asked)
            if not self._is_trusted(address):
                break
        return address

    def _in_networks(self, text: str) -> bool:
        address = _parse(text)
        return address is not None and any(address in network for network in self._trusted)


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    if len(text) > _ADDRESS_CHARACTERS_MAX or "%" in text:
        return None  # a zone may hold anything, and means something on the machine of its interface only
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # What a socket for both families calls an IPv4 peer.
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
