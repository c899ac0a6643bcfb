"""Issue a link with which a user sets their own password, so that nobody else has to know it."""

from nightlatch.model.errors import InvalidValue, Refused
from nightlatch.model.event import OPERATOR, Event, EventKind
from nightlatch.model.password_link import VALID_SECONDS_MAX, IssuedLink
from nightlatch.model.records import User
from nightlatch.model.secret import PASSWORD_LINK
from nightlatch.store.connection import Connection
from nightlatch.store.events import insert_event
from nightlatch.store.password_links import insert_link
from nightlatch.usecases.find_person import lock_known_user
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
        return await store_new_link(connection, user, valid_seconds)


async def store_new_link(connection: Connection, user: User, valid_seconds: int) -> IssuedLink:
    """A new link for a user whom the caller has locked or just inserted."""
    secret = PASSWORD_LINK.generate()
    expiry = await insert_link(connection, user.id, secret, valid_seconds)
    return IssuedLink(secret, user.email, expiry)


def check_valid_seconds(seconds: int) -> None:
    """Raise InvalidValue('valid_for') for a time that a link cannot be valid for."""
    if not 1 <= seconds <= VALID_SECONDS_MAX:
        raise InvalidValue("valid_for", "A link is valid for 1 second to 30 days.")
