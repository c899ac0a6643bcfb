"""Use a link to set a password: once, and before it expires (OWASP ASVS 5.0, 6.4.1)."""

from nightlatch.model.errors import InvalidValue
from nightlatch.model.event import Actor, ActorKind
from nightlatch.model.origin import Origin
from nightlatch.model.records import EndedToken
from nightlatch.model.secret import PASSWORD_LINK, Secret
from nightlatch.store.organizations import find_organizations_of_user
from nightlatch.store.password_links import FoundLink, find_link, take_link
from nightlatch.store.pulse import confirm_primary
from nightlatch.usecases.end_tokens import ending_tokens
from nightlatch.usecases.find_person import lock_known_user
from nightlatch.usecases.services import Services
from nightlatch.usecases.set_password import change_password


async def find_password_link(services: Services, text: str) -> FoundLink:
    """Whose link the text is. Looking does not use it up: mail scanners open links, too.

    Raises InvalidValue('link') for one that is malformed, expired, used or replaced.
    """
    secret = _spelled(text)
    async with services.store.read() as connection:
        found = await find_link(connection, secret)
        if found is None:
            await confirm_primary(connection)
    return await _usable(services, found)


async def use_password_link(services: Services, text: str, password: str, origin: Origin) -> list[EndedToken]:
    """Set the password of the link's user as `set_password` does; of two at once, one succeeds.

    Raises InvalidValue of 'link' or 'password'; after the latter the link still works.
    """
    secret = _spelled(text)
    async with services.store.read() as connection:
        found = await find_link(connection, secret)
        if found is None:
            await confirm_primary(connection)
        organizations = [] if found is None else await find_organizations_of_user(connection, found.user_id)
    link = await _usable(services, found)
    services.password_rules.check(password, link.email, organizations)
    password_hash = await services.passwords.hash(password)
    async with ending_tokens(services) as connection:
        user = await lock_known_user(connection, link.email)
        if user.disabled is not None or not await take_link(connection, secret):
            raise _gone()
        actor = Actor(ActorKind.USER, user.id, user.email, None, origin)
        return await change_password(connection, user, password_hash, actor)


def _spelled(text: str) -> Secret:
    secret = PASSWORD_LINK.parse(text)
    if secret is None:
        raise InvalidValue("link", "The link is incomplete. Open it again as it was sent, or copy all of it.")
    return secret


async def _usable(services: Services, found: FoundLink | None) -> FoundLink:
    if found is None:
        # Whoever asks again because an answer was lost must not hear of a change that is not in force (H15).
        await services.currency.wait_in_force()
        raise _gone()
    if found.expired:
        raise InvalidValue("link", "The link has expired. Ask for a new one where you got it.")
    return found


def _gone() -> InvalidValue:
    return InvalidValue(
        "link",
        "The link has been used, or a newer one has replaced it. If the password is not the one you set, ask "
        "for a new link where you got it.",
    )
