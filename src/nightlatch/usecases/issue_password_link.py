"""Issue a link with which a user sets their own password, so that nobody else has to know it."""

from nightlatch.model.errors import InvalidValue, Refused
from nightlatch.model.event import OPERATOR, Event, EventKind, acting_user
from nightlatch.model.names import Email, UserId
from nightlatch.model.origin import Origin
from nightlatch.model.password_link import VALID_SECONDS_DEFAULT, VALID_SECONDS_MAX, IssuedLink
from nightlatch.model.records import Membership
from nightlatch.model.secret import PASSWORD_LINK
from nightlatch.model.session import Session
from nightlatch.store.connection import Connection
from nightlatch.store.events import insert_event
from nightlatch.store.organizations import find_organizations_of_user
from nightlatch.store.password_links import insert_link
from nightlatch.usecases.find_person import find_fellow, lock_known_user
from nightlatch.usecases.hold_session import hold_owner
from nightlatch.usecases.services import Services


async def issue_password_link(services: Services, email: str, valid_seconds: int) -> IssuedLink:
    """A link for a user; the one before it ends. Password and tokens stay until it is used.

    Raises InvalidValue, NotFound, or Refused for a disabled user.
    """
    check_valid_seconds(valid_seconds)
    async with services.store.write() as connection:
        user = await lock_known_user(connection, email)
        if user.disabled is not None:
            raise Refused(
                f"User '{user.email}' is disabled. To let them log in again: "
                f"nightlatch user enable {user.email}"
            )
        event = Event(EventKind.PASSWORD_LINK_ISSUED, OPERATOR, user_id=user.id, email=user.email)
        await insert_event(connection, event)
        return await store_new_link(connection, user.id, user.email, valid_seconds)


async def issue_password_link_as_owner(
    services: Services, session: Session, user_id: UserId, origin: Origin
) -> IssuedLink:
    """The same by an owner, for another member who belongs to no other open organization.

    Whoever has the link can be that user wherever they belong: an owner must not be, in what is not theirs.
    If the user joins another organization before it is used, the link ends. Raises NotFound, Forbidden,
    SessionEnded, StoreUnavailable, or Refused: oneself, a disabled user, one who belongs elsewhere too.
    """
    async with services.store.write() as connection:
        identity = await hold_owner(connection, session)
        membership = await find_fellow(connection, identity, user_id)
        if user_id == identity.user_id:
            raise Refused("To change your own password, show the one that you have: under Account.")
        # Before the lock: two owners who meant each other, in two organizations, would wait in a circle.
        await _check_belongs_nowhere_else(connection, membership)
        await lock_known_user(connection, membership.email)
        await _check_belongs_nowhere_else(connection, membership)
        if membership.disabled is not None:
            raise Refused(f"{membership.email} is disabled. Only the operator can let them log in again.")
        event = Event(
            EventKind.PASSWORD_LINK_ISSUED,
            acting_user(identity, None, origin),
            identity.organization_id,
            user_id,
            membership.email,
        )
        await insert_event(connection, event)
        return await store_new_link(connection, user_id, membership.email, VALID_SECONDS_DEFAULT)


async def _check_belongs_nowhere_else(connection: Connection, membership: Membership) -> None:
    if len(await find_organizations_of_user(connection, membership.user_id)) > 1:
        raise Refused(
            f"{membership.email} belongs to another organization too. Only the operator can send them a link "
            "to set their password."
        )


async def store_new_link(
    connection: Connection, user_id: UserId, email: Email, valid_seconds: int
) -> IssuedLink:
    """A new link for a user whom the caller has locked or just inserted."""
    secret = PASSWORD_LINK.generate()
    expiry = await insert_link(connection, user_id, secret, valid_seconds)
    return IssuedLink(secret, email, expiry)


def check_valid_seconds(seconds: int) -> None:
    """Raise InvalidValue('valid_for') for a time that a link cannot be valid for."""
    if not 1 <= seconds <= VALID_SECONDS_MAX:
        raise InvalidValue("valid_for", "A link is valid for 1 second to 30 days.")
