"""What memory holds of a live token: as little as an answer needs, in as few bytes as that takes."""

from typing import Final
from urllib.parse import quote, unquote

from nightlatch.model.names import Email, OrganizationId, Role, TokenId, UserId
from nightlatch.model.standing import Identity, Standing
from nightlatch.model.times import wire_time

AGE_SECONDS_MAX: Final = 60.0
"""What is older is read again, whatever happens: a net below the net (RV8)."""

_PRINTABLE: Final = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
SEPARATOR: Final = b"\n"


class Known:
    """A live token. `until`: the database's time, in seconds, up to which this may be believed.

    `packed` holds organization id, e-mail address, role, token id, expiry (as
    2026-12-24T10:00:00.000000Z, empty for never) and user id, as header values: what is not printable
    ASCII is percent-encoded. One string of bytes, since objects for its parts take twice the memory.
    """

    __slots__ = ("packed", "until")

    def __init__(self, standing: Standing, read_seconds: float) -> None:
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
