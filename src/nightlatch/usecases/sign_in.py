"""Sign in to the console: a password for a session, which uses up no token."""

from nightlatch.model.errors import CredentialsRejected
from nightlatch.model.event import Event, EventKind, acting_user
from nightlatch.model.origin import Origin
from nightlatch.model.secret import SESSION, Secret
from nightlatch.model.session import Session
from nightlatch.model.standing import Identity
from nightlatch.store.events import insert_event
from nightlatch.store.logins import lock_candidate
from nightlatch.store.sessions import confirm_session, insert_session
from nightlatch.usecases.check_password import Credentials, check_password
from nightlatch.usecases.hold_session import hold_session
from nightlatch.usecases.note_success import note_success, wait_noted
from nightlatch.usecases.refuse_login import noting_refusals
from nightlatch.usecases.services import Services


async def sign_in(services: Services, credentials: Credentials, origin: Origin) -> Secret:
    """The secret of a new session, durable before this returns; throttled and recorded as a login is.

    Raises CredentialsRejected, Throttled, Overloaded or StoreUnavailable.
    """
    with noting_refusals(services, credentials.username, credentials.organization_id, origin):
        shown = await check_password(services, credentials)
        candidate, secret = shown.candidate, SESSION.generate()
        async with services.store.write() as connection:
            if await lock_candidate(connection, candidate) is None:
                raise CredentialsRejected("changed during login")
            identity = Identity(candidate.organization_id, candidate.user_id, candidate.email, candidate.role)
            await insert_session(connection, identity, secret, services.session_limits, origin)
            await note_success(services, connection, shown)
            await insert_event(
                connection,
                Event(
                    EventKind.SIGNED_IN,
                    acting_user(identity, None, origin),
                    identity.organization_id,
                    identity.user_id,
                    identity.email,
                ),
            )
    await wait_noted(services, shown)
    return secret


async def confirm_password(services: Services, session: Session, password: str, origin: Origin) -> Secret:
    """The session goes on under another secret, its password shown just now.

    Asked for before what somebody at an unlocked screen must not do (OWASP ASVS 5.0, 7.2.4 and 7.5.1).
    Raises as `sign_in` does, and SessionEnded.
    """
    identity = session.identity
    credentials = Credentials(identity.email, password, identity.organization_id, origin.address)
    with noting_refusals(services, credentials.username, credentials.organization_id, origin):
        shown = await check_password(services, credentials)
        secret = SESSION.generate()
        async with services.store.write() as connection:
            await hold_session(connection, session)
            if await lock_candidate(connection, shown.candidate) is None:
                raise CredentialsRejected("changed during login")
            await confirm_session(connection, session, secret)
            await note_success(services, connection, shown)
    await wait_noted(services, shown)
    return secret
