"""What memory holds of a live token: as little as an answer needs, in as few bytes as that takes.

A child token is of another class than a token: whoever takes a `Known` for an answer cannot be handed one.
"""

from typing import Final
from urllib.parse import quote, unquote

from nightlatch.model.names import Email, OrganizationId, Role, TokenId, UserId
from nightlatch.model.standing import Descent, Identity, Standing
from nightlatch.model.times import wire_time
from nightlatch.model.token import TokenDigest

AGE_SECONDS_MAX: Final = 60.0
"""What is older is read again, whatever happens: a net below the net (RV8)."""

_PRINTABLE: Final = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
SEPARATOR: Final = b"\n"


class _Live:
    """A live token. `until`: the database's time, in seconds, up to which this may be believed.

    `used`: the digest under which a use is noted.

    `packed` holds organization id, e-mail address, role, token id, expiry (as
    2026-12-24T10:00:00.000000Z, empty for never) and user id, as header values: what is not printable
    ASCII is percent-encoded. One string of bytes, since objects for its parts take twice the memory.
    """

    __slots__ = ("packed", "until", "used")

    def __init__(self, standing: Standing, used: TokenDigest, read_seconds: float) -> None:
        self.used = used.value
        identity = standing.identity
        parts = (
            identity.organization_id,
            identity.email,
            identity.role.value,
            standing.token_id,
            wire_time(standing.expiry) or "",
            str(identity.user_id),
        )
        self.packed = SEPARATOR.join(quote(part, safe=_PRINTABLE).encode("ascii") for part in parts)
        self.until = read_seconds + AGE_SECONDS_MAX
        if standing.expiry is not None:
            self.until = min(self.until, standing.expiry.timestamp())

    @property
    def identity(self) -> Identity:
        """Who acts with the token."""
        organization, user, role, _, _, user_id = self.packed.decode("ascii").split(SEPARATOR.decode("ascii"))
        return Identity(
            OrganizationId(unquote(organization)), UserId(int(user_id)), Email(unquote(user)), Role(role)
        )

    @property
    def token_id(self) -> TokenId:
        """The token's public id."""
        return TokenId(self.packed.decode("ascii").split(SEPARATOR.decode("ascii"))[3])


class Known(_Live):
    """A token that was made by a login: it may do whatever its user may."""

    __slots__ = ()


class KnownChild(_Live):
    """A child token: nothing may be granted to it before its scope was asked.

    Its use is its parent's, and one that its scope refuses is nobody's: so it is noted by whoever has asked
    the scope. `read`: the database's time, in seconds, when this was true.
    """

    __slots__ = ("read", "scope")

    def __init__(self, standing: Standing, descent: Descent, read_seconds: float) -> None:
        super().__init__(standing, descent.parent, read_seconds)
        self.scope = descent.scope
        self.read = read_seconds


def known_as(standing: Standing, digest: TokenDigest, read_seconds: float) -> Known | KnownChild:
    """What a token with that digest and standing, read at that time of the database, is known as."""
    if standing.descent is None:
        return Known(standing, digest, read_seconds)
    return KnownChild(standing, standing.descent, read_seconds)
