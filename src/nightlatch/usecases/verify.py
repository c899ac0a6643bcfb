"""Verify: who is behind an Authorization header."""

from dataclasses import dataclass

from nightlatch.hot.header import HeaderFault, TokenHeader, read_token_header
from nightlatch.model.standing import Standing
from nightlatch.model.token import PlainToken
from nightlatch.usecases.services import Services


@dataclass(frozen=True, slots=True)
class Accepted:
    """The header holds a live token."""

    standing: Standing
    token: PlainToken


async def verify(services: Services, authorization: bytes, address: str) -> Accepted | HeaderFault:
    """The verdict on the header's value, true at the moment it is given.

    The use is noted with the address it came from. Raises StoreUnavailable when it cannot know.
    """
    header = read_token_header(authorization)
    if not isinstance(header, TokenHeader):
        return header
    standing = await services.lookup.find(header.token.digest)
    if standing is None:
        return HeaderFault.INVALID
    services.uses.note(standing.token_id, address)
    return Accepted(standing, header.token)
