"""Introspect: what a token is that somebody else presented to the caller."""

from nightlatch.hot.known import Known
from nightlatch.model.imported import spell_token
from nightlatch.model.standing import Identity
from nightlatch.usecases.services import Services
from nightlatch.usecases.verify import verify


async def introspect(services: Services, identity: Identity, presented: bytes, address: str) -> Known | None:
    """A live token of the identity's organization, true at the moment this returns.

    None for anything else: another organization's token, one that expired or was ended, text that
    is no token, and a child token: whoever asks does not ask for one request. The verdict comes the way
    verify's does, and is as strict. Introspecting counts as a use of the token, from the address of
    whoever asks: an API that introspects would otherwise make tokens look idle that are used all day.
    Raises StoreUnavailable or Overloaded when it cannot know.
    """
    # The header's grammar allows white space around a token, this parameter's does not.
    if spell_token(presented) is None:
        return None
    verdict = await verify(services, b"Token " + presented, address)
    if not isinstance(verdict, Known) or verdict.identity.organization_id != identity.organization_id:
        return None
    return verdict
