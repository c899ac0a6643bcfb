"""Set a user's password."""

from nightlatch.guard.passwords import check_new_password
from nightlatch.model.records import EndedToken
from nightlatch.store import users
from nightlatch.store.tokens import delete_tokens_of_user
from nightlatch.usecases.end_tokens import ending_tokens
from nightlatch.usecases.find_person import lock_known_user
from nightlatch.usecases.services import Services


async def set_password(services: Services, email: str, password: str) -> list[EndedToken]:
    """Set it and end every token of the user, in all organizations.

    A login under way with the old password makes no token. Raises InvalidValue or NotFound.
    """
    check_new_password(password)
    password_hash = await services.passwords.hash(password)
    async with ending_tokens(services) as connection:
        user = await lock_known_user(connection, email)
        await users.set_password(connection, user.id, password_hash)
        return await delete_tokens_of_user(connection, user.id)
