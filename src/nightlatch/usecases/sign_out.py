"""Sign out of the console, here or in other browsers."""

from collections.abc import Sequence

from nightlatch.model.event import Event, EventKind, acting_user
from nightlatch.model.origin import Origin
from nightlatch.model.session import Session, SessionId, SessionRecord
from nightlatch.store import sessions
from nightlatch.store.connection import Connection
from nightlatch.store.events import insert_event
from nightlatch.store.pulse import confirm_primary
from nightlatch.usecases.hold_session import hold_session
from nightlatch.usecases.services import Services


async def sign_out(services: Services, session: Session, origin: Origin) -> None:
    """End the session. When this returns no process finds it, since each request reads it for itself.

    Raises StoreUnavailable; then it may have ended, or not.
    """
    async with services.store.write() as connection:
        await hold_session(connection, session)
        await sessions.delete_sessions(connection, session.identity.user_id, [session.id])
        await _record(connection, EventKind.SIGNED_OUT, session, origin, [])
        await confirm_primary(connection)


async def list_own_sessions(services: Services, session: Session) -> list[SessionRecord]:
    """The live sessions of the session's user, also those in other organizations."""
    async with services.store.read() as connection:
        return await sessions.list_sessions(connection, session.identity.user_id, services.session_limits)


async def end_own_sessions(
    services: Services, session: Session, chosen: Sequence[SessionId] | None, origin: Origin
) -> list[SessionId]:
    """End those sessions of the same user, or (None) all but this one; which there were.

    Raises SessionEnded, StoreUnavailable.
    """
    async with services.store.write() as connection:
        await hold_session(connection, session)
        if chosen is not None:  # a NUL no database text holds
            chosen = [each for each in chosen if "\x00" not in each]
        ended = await sessions.delete_sessions(connection, session.identity.user_id, chosen, session.id)
        if ended:
            await _record(connection, EventKind.SESSIONS_ENDED, session, origin, ended)
        await confirm_primary(connection)
    return ended


async def _record(
    connection: Connection, kind: EventKind, session: Session, origin: Origin, ended: list[SessionId]
) -> None:
    identity = session.identity
    event = Event(
        kind,
        acting_user(identity, None, origin),
        identity.organization_id,
        identity.user_id,
        identity.email,
        detail={"ended_sessions": ended} if ended else {},
    )
    await insert_event(connection, event)
