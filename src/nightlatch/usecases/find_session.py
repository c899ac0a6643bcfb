"""Find the session that a browser's cookie stands for, and note that it was used."""

from datetime import timedelta
from typing import Final

from nightlatch.model.errors import SessionEnded
from nightlatch.model.secret import SESSION
from nightlatch.model.session import Session
from nightlatch.store import sessions
from nightlatch.usecases.services import Services

NOTED_AGAIN: Final = timedelta(minutes=1)
"""After so long a further use is written."""


async def find_session(services: Services, text: str) -> Session:
    """The live session whose secret the text spells: one read of the database, whatever memory holds.

    A session that was ended before this was asked is found nowhere. Raises SessionEnded, StoreUnavailable.
    """
    secret = SESSION.parse(text)
    if secret is None:
        raise SessionEnded
    async with services.store.read() as connection:
        found = await sessions.find_session(connection, secret.digest, services.session_limits)
    if found is None:
        raise SessionEnded
    return found


async def note_session_used(services: Services, session: Session) -> None:
    """So that it does not idle away; written once a minute. Raises StoreUnavailable."""
    if session.now - session.used < NOTED_AGAIN:
        return
    async with services.store.write() as connection:
        await sessions.note_session_used(connection, session.digest)
