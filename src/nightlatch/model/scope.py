"""What a child token may do, and whether a request is within that. Pure: no I/O, no clock.

A scope is a list of what is allowed; everything else is refused. The path is compared as the client sent
it. One that could be read in two ways (OWASP ASVS 5.0, 4.1.3: by a proxy, and again by what stands behind it)
is within no scope, whatever it seems to begin with.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import unquote_to_bytes

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""Those that can be allowed. They are case-sensitive (RFC 9110 section 9.1), and none implies another."""
TARGET_CHARACTERS_MAX: Final = 8192

ADDRESS_CHARACTERS_MAX: Final = 45
_ADDRESSES_REMEMBERED: Final = 4096

Network = IPv4Network | IPv6Network

# As in the proxies' configurations in deploy/: no //, no segment that begins with a dot, no dot after a
# dot, no ; or \, and encoded no control character, % . / ; \ and no overlong UTF-8 of two bytes.
_PLAIN: Final = re.compile(
    r"(?:/(?:(?:[A-Za-z0-9_~!$&'()*+,=:@-]"
    r"|%(?i:2[0-46-9A-D]|3[0-9AC-F]|5[0-9ABD-F]|7[0-9A-E]|C[2-9A-F]|[4689ABDEF][0-9A-F]))\.?)+)*/?"
)


class OutOfScope(StrEnum):
    """Why a request is refused, for the log."""

    UNKNOWN = "request_unknown"
    METHOD = "method"
    AMBIGUOUS = "path_ambiguous"
    PATH = "path"
    ORIGIN = "origin"
    ADDRESS = "address"


@dataclass(frozen=True, slots=True)
class AskedRequest:
    """A request as its client sent it, told by somebody who is believed.

    `target` is that of the request line, with its query; `origin` the header's value, None where there is
    none; `address` the client's, empty where it is not known.
    """

    method: str
    target: str
    origin: str | None
    address: str


@dataclass(frozen=True, slots=True)
class Scope:
    """What is allowed. An origin or networks of None set no limit; empty ones allow nothing.

    A path of `paths` allows itself and what is below it, by whole segments: /a allows /a, /a/ and /a/b, and
    not /ab. One that ends in a slash allows only what is below it: /a/ does not allow /a.
    """

    methods: frozenset[str]
    paths: tuple[str, ...]
    origin: str | None = None
    networks: tuple[Network, ...] | None = None

    def why_refused(self, request: AskedRequest) -> OutOfScope | None:
        """Why the request is not within the scope; None if it is."""
        if request.method not in self.methods:
            return OutOfScope.METHOD
        path = request.target.partition("?")[0]
        if len(request.target) > TARGET_CHARACTERS_MAX or not is_plain_path(path):
            return OutOfScope.AMBIGUOUS
        if not any(_is_below(path, prefix) for prefix in self.paths):
            return OutOfScope.PATH
        if self.origin is not None and request.origin != self.origin:
            return OutOfScope.ORIGIN
        if self.networks is not None and not _is_in(request.address, self.networks):
            return OutOfScope.ADDRESS
        return None


NOTHING: Final = Scope(frozenset(), ())
"""The scope that no request is within."""


def is_plain_path(path: str) -> bool:
    """Whether the path begins with a slash and can be read in one way only."""
    if not path.startswith("/") or _PLAIN.fullmatch(path) is None:
        return False
    try:
        unquote_to_bytes(path).decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _is_below(path: str, prefix: str) -> bool:
    if not path.startswith(prefix):
        return False
    return len(path) == len(prefix) or prefix.endswith("/") or path[len(prefix)] == "/"


def _is_in(text: str, networks: tuple[Network, ...]) -> bool:
    address = parse_address(text)
    return address is not None and any(address in network for network in networks)


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """The address that the text is; None if it is none, or has a zone, which means something locally only."""
    return None if len(text) > ADDRESS_CHARACTERS_MAX or "%" in text else _parse_address(text)


@lru_cache(_ADDRESSES_REMEMBERED)
def _parse_address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # What a socket for both families calls an IPv4 peer.
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


# --- How a scope is stored: lists separated by spaces, which none of their items can hold ----------


@dataclass(frozen=True, slots=True)
class StoredScope:
    """The columns of a scope."""

    methods: str
    paths: str
    origin: str | None
    networks: str | None


def store_scope(scope: Scope) -> StoredScope:
    """The scope as it is stored."""
    networks = None if scope.networks is None else " ".join(map(str, scope.networks))
    methods = " ".join(method for method in METHODS if method in scope.methods)
    return StoredScope(methods, " ".join(scope.paths), scope.origin, networks)


def read_scope(stored: StoredScope) -> Scope:
    """The scope that was stored; one that allows nothing where raw SQL has left what cannot be read."""
    paths = tuple(stored.paths.split())
    if not all(map(is_plain_path, paths)):
        return NOTHING
    try:
        networks = None if stored.networks is None else tuple(map(ip_network, stored.networks.split()))
    except ValueError:
        return NOTHING
    return Scope(frozenset(stored.methods.split()), paths, stored.origin, networks)
