"""Hold a session while something is done in it: what began in a live session ends in one."""

from nightlatch.model.errors import Forbidden, SessionEnded
from nightlatch.model.names import Role
from nightlatch.model.session import Session
from nightlatch.model.standing import Identity
from nightlatch.store.connection import Connection
from nightlatch.store.sessions import lock_session


async def hold_session(connection: Connection, session: Session) -> Identity:
    """Who acts in the session, with the role they have now.

    Organization, membership and user are locked to the end of the transaction, in this order: whatever
    would end the session waits. Raises SessionEnded.
    """
    role = await lock_session(connection, session)
    if role is None:
        raise SessionEnded
    identity = session.identity
    return Identity(identity.organization_id, identity.user_id, identity.email, role)


async def hold_owner(connection: Connection, session: Session) -> Identity:
    """The same for what only owners may do. Raises Forbidden for a member, SessionEnded."""
    identity = await hold_session(connection, session)
    if identity.role is not Role.OWNER:
        raise Forbidden
    return identity
