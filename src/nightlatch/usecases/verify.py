"""Verify: who is behind an Authorization header."""

from nightlatch.hot.header import HeaderFault, TokenHeader
from nightlatch.hot.known import Known, KnownChild
from nightlatch.usecases.services import Services


async def verify(services: Services, authorization: bytes, address: str) -> Known | KnownChild | HeaderFault:
    """The verdict on the header's value, true at the moment it is given.

    From memory, without waiting, where it knows the token; else the database is asked. The use of a
    live token is noted with the address it came from; that of a child is for whoever asks its scope to note
    (`Lookup.note_child`). Raises StoreUnavailable or Overloaded when it
    cannot know.
    """
    verdict = services.lookup.find_nowait(authorization, address)
    if isinstance(verdict, TokenHeader):
        return await verify_unknown(services, verdict, address)
    return verdict


async def verify_unknown(
    services: Services, header: TokenHeader, address: str
) -> Known | KnownChild | HeaderFault:
    """The same for a token that memory does not know, or may not answer for."""
    known = await services.fills.find(header.token, address)
    return HeaderFault.INVALID if known is None else known
