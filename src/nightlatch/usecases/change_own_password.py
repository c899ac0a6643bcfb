"""Change one's own password in the console."""

from nightlatch.guard.password_matches import normalize_password
from nightlatch.model.errors import CredentialsRejected, InvalidValue
from nightlatch.model.event import acting_user
from nightlatch.model.origin import Origin
from nightlatch.model.secret import SESSION, Secret
from nightlatch.model.session import Session
from nightlatch.store.logins import lock_candidate
from nightlatch.store.organizations import find_organizations_of_user
from nightlatch.store.sessions import insert_session
from nightlatch.store.users import lock_user
from nightlatch.usecases.check_password import Credentials, check_password
from nightlatch.usecases.end_tokens import ending_tokens
from nightlatch.usecases.hold_session import hold_session
from nightlatch.usecases.note_success import note_success, wait_noted
from nightlatch.usecases.refuse_login import noting_refusals
from nightlatch.usecases.services import Services
from nightlatch.usecases.set_password import change_password


async def change_own_password(
    services: Services, session: Session, current: str, new: str, origin: Origin
) -> Secret:
    """The secret of a session that goes on in this browser, with the new password.

    The current one is checked and throttled as at a login (OWASP ASVS 5.0, 6.2.3). When this returns, every
    token of the user, in all organizations, and every other session have ended, everywhere. Of two changes
    at once one succeeds.

    Raises InvalidValue('password') of the new one, before anything is counted; CredentialsRejected for a
    wrong current one, Throttled, SessionEnded, Overloaded or StoreUnavailable: after the last it may have
    happened.
    """
    identity = session.identity
    async with services.store.read() as connection:
        organizations = await find_organizations_of_user(connection, identity.user_id)
    services.password_rules.check(new, identity.email, organizations)
    if normalize_password(new) == normalize_password(current):
        raise InvalidValue("password", "The new password is the one that you have.")
    credentials = Credentials(identity.email, current, identity.organization_id, origin.address)
    with noting_refusals(services, credentials.username, credentials.organization_id, origin):
        shown = await check_password(services, credentials)
        new_hash = await services.passwords.hash(new)
        secret = SESSION.generate()
        async with ending_tokens(services) as connection:
            identity = await hold_session(connection, session)
            if await lock_candidate(connection, shown.candidate) is None:
                raise CredentialsRejected("changed during login")
            await note_success(services, connection, shown)
            user = await lock_user(connection, identity.email)
            if user is None:
                raise RuntimeError("a user who is locked is missing")
            await change_password(connection, user, new_hash, acting_user(identity, None, origin))
            # The database has ended every session with the old password, this one too.
            await insert_session(connection, identity, secret, services.session_limits, origin)
    await wait_noted(services, shown)
    return secret
