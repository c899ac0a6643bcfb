"""What memory holds of a live token: as little as an answer needs, encoded once."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from nightlatch.model.names import TokenId
from nightlatch.model.standing import Identity, Standing
from nightlatch.model.times import wire_time

AGE_SECONDS_MAX: Final = 60.0
"""What is older is read again, whatever happens: a net below the net (RV8)."""

_PRINTABLE: Final = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")


@dataclass(frozen=True, slots=True)
class KnownIdentity:
    """An identity and its header values; shared by all tokens that one user has in an organization."""

    identity: Identity
    organization: bytes
    user: bytes
    role: bytes


class Known:
    """A live token. `until`: the database's time, in seconds, up to which this may be believed."""

    __slots__ = ("expiry", "of", "token_id", "until")

    def __init__(self, of: KnownIdentity, token_id: TokenId, expiry: bytes, until: float) -> None:
        self.of = of
        self.token_id = token_id
        self.expiry = expiry
        self.until = until


def encode_identity(identity: Identity) -> KnownIdentity:
    """The identity with its header values; what is not printable ASCII is percent-encoded."""
    return KnownIdentity(
        identity,
        identity.organization_id.encode("ascii"),
        quote(identity.email, safe=_PRINTABLE).encode("ascii"),
        identity.role.value.encode("ascii"),
    )


def encode_known(of: KnownIdentity, standing: Standing, read_seconds: float) -> Known:
    """The token as it stood at that time of the database."""
    until = read_seconds + AGE_SECONDS_MAX
    if standing.expiry is not None:
        until = min(until, standing.expiry.timestamp())
    return Known(of, standing.token_id, (wire_time(standing.expiry) or "").encode("ascii"), until)
