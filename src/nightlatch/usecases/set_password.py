"""Set a user's password."""

from nightlatch.model.event import OPERATOR, Actor, Event, EventKind
from nightlatch.model.records import EndedToken, User
from nightlatch.store import users
from nightlatch.store.connection import Connection
from nightlatch.store.events import insert_event
from nightlatch.store.organizations import find_organizations_of_user
from nightlatch.store.password_links import delete_links
from nightlatch.store.tokens import delete_tokens_of_user
from nightlatch.usecases.end_tokens import ending_tokens
from nightlatch.usecases.find_person import find_known_user, lock_known_user
from nightlatch.usecases.services import Services


async def set_password(services: Services, email: str, password: str) -> list[EndedToken]:
    """Set it and end every token of the user, in all organizations, and the link to set it.

    A login under way with the old password makes no token. Raises InvalidValue or NotFound.
    """
    async with services.store.read() as connection:
        user = await find_known_user(connection, email)
        organizations = await find_organizations_of_user(connection, user.id)
    services.password_rules.check(password, user.email, organizations)
    password_hash = await services.passwords.hash(password)
    async with ending_tokens(services) as connection:
        user = await lock_known_user(connection, email)
        return await change_password(connection, user, password_hash, OPERATOR)


async def change_password(
    connection: Connection, user: User, password_hash: str, actor: Actor
) -> list[EndedToken]:
    """What every change of a password does, in a block of `ending_tokens` that has locked the user."""
    await users.set_password(connection, user.id, password_hash)
    await delete_links(connection, user.id)
    ended = await delete_tokens_of_user(connection, user.id)
    detail = {"ended_tokens": [token.id for token in ended]}
    event = Event(EventKind.PASSWORD_CHANGED, actor, user_id=user.id, email=user.email, detail=detail)
    await insert_event(connection, event)
    return ended
