"""What memory holds of a live token: as little as an answer needs, in as few bytes as that takes."""

from typing import Final, NamedTuple
from urllib.parse import quote, unquote

from nightlatch.model.names import Email, OrganizationId, Role, UserId
from nightlatch.model.standing import Identity, Standing
from nightlatch.model.times import wire_time

AGE_SECONDS_MAX: Final = 60.0
"""What is older is read again, whatever happens: a net below the net (RV8)."""

_PRINTABLE: Final = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
_SEPARATOR: Final = b"\n"


class Holder(NamedTuple):
    """Who holds a token, as header values; what is not printable ASCII is percent-encoded."""

    organization: bytes
    user: bytes
    role: bytes
    token_id: bytes
    expiry: bytes
    """As 2026-12-24T10:00:00.000000Z, empty for never."""
    user_id: bytes


class Known:
    """A live token. `until`: the database's time, in seconds, up to which this may be believed.

    The holder is kept as one string of bytes: objects for its parts would take twice the memory.
    """

    __slots__ = ("_packed", "until")

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
        self._packed = _SEPARATOR.join(quote(part, safe=_PRINTABLE).encode("ascii") for part in parts)
        self.until = read_seconds + AGE_SECONDS_MAX
        if standing.expiry is not None:
            self.until = min(self.until, standing.expiry.timestamp())

    @property
    def holder(self) -> Holder:
        """Who holds the token."""
        return Holder(*self._packed.split(_SEPARATOR))

    @property
    def identity(self) -> Identity:
        """The same as use cases take it."""
        holder = self.holder
        return Identity(
            OrganizationId(_text(holder.organization)),
            UserId(int(holder.user_id)),
            Email(_text(holder.user)),
            Role(_text(holder.role)),
        )


def _text(value: bytes) -> str:
    return unquote(value.decode("ascii"))
