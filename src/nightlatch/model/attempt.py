"""An attempt to show a password, and the keys by which it, and the making of child tokens, is counted."""

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from ipaddress import IPv6Address, ip_address
from typing import Final

from nightlatch.model.names import Email, OrganizationId, UserId

_NETWORKS_REMEMBERED: Final = 4096
_IPV6_HOST_BITS: Final = 64


@dataclass(frozen=True, slots=True)
class Attempt:
    """Whose password it is, known or not, and the network that it comes from."""

    email: Email
    organization_id: OrganizationId
    network: str

    @property
    def account(self) -> bytes:
        """The key of the account, wherever the attempt comes from."""
        return _key("account", self.organization_id, self.email)

    @property
    def address(self) -> bytes:
        """The key of the address, whoever is tried from there."""
        return _key("address", self.network)

    @property
    def account_from_address(self) -> bytes:
        """The key of the account as it is tried from this address."""
        return _key("account from address", self.organization_id, self.email, self.network)

    @property
    def announcements(self) -> tuple[bytes, bytes]:
        """The keys by which it is announced that account and address are remembered."""
        return announcement_key(self.account), announcement_key(self.address)

    @property
    def logins(self) -> bytes:
        """The key that counts the account's successful logins."""
        return _key("logins", self.organization_id, self.email)


def announcement_key(key: bytes) -> bytes:
    """The key by which it is announced that the rate of a key is remembered as used up."""
    return sha256(b"announcement\x00" + key).digest()


def child_tokens_key(organization_id: OrganizationId, user_id: UserId) -> bytes:
    """The key that counts the child tokens which a user of that organization makes."""
    return _key("child tokens", organization_id, str(user_id))


def created_tokens_key(organization_id: OrganizationId, user_id: UserId) -> bytes:
    """The key that counts the tokens which a user of that organization creates without a login."""
    return _key("created tokens", organization_id, str(user_id))


@lru_cache(_NETWORKS_REMEMBERED)
def client_network(address: str) -> str:
    """What counts as one address: an IPv4 address, or the /64 that an IPv6 address is in.

    A /64 is the least that an IPv6 host is given (RFC 6177): each has 2^64 addresses to come from. What
    is no address counts as one address of its own.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return ""
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    network = int(parsed) >> _IPV6_HOST_BITS << _IPV6_HOST_BITS
    return f"{IPv6Address(network)}/{_IPV6_HOST_BITS}"


def _key(*parts: str) -> bytes:
    # No part holds a NUL, which no database text can hold either.
    return sha256("\x00".join(parts).encode("utf-8", "surrogatepass")).digest()
