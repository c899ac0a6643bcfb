"""Disable a user everywhere, and enable one again."""

from nightlatch.model.event import OPERATOR, Event, EventKind
from nightlatch.model.names import Role
from nightlatch.model.records import EndedToken, User
from nightlatch.store.events import insert_event
from nightlatch.store.memberships import find_membership
from nightlatch.store.organizations import lock_organization
from nightlatch.store.password_links import delete_links
from nightlatch.store.tokens import delete_tokens_of_user
from nightlatch.store.users import list_organization_ids, set_disabled
from nightlatch.usecases.end_tokens import ending_tokens
from nightlatch.usecases.find_person import find_known_user, keep_an_owner, lock_known_user
from nightlatch.usecases.services import Services


async def disable_user(services: Services, email: str) -> tuple[User, list[EndedToken]]:
    """End all the user's tokens and their link, and let them log in nowhere. Raises NotFound or LastOwner.

    The last active owner of an open organization is not disabled.
    """
    async with ending_tokens(services) as connection:
        known = await find_known_user(connection, email)
        for organization_id in await list_organization_ids(connection, known.id):
            organization = await lock_organization(connection, organization_id)
            membership = await find_membership(connection, organization_id, known.id)
            if organization is None or organization.closed is not None or membership is None:
                continue
            if membership.role is Role.OWNER and membership.disabled is None:
                await keep_an_owner(connection, membership)
        before = await lock_known_user(connection, email)
        user = await set_disabled(connection, known.id, disabled=True)
        await delete_links(connection, known.id)
        ended = await delete_tokens_of_user(connection, known.id)
        if before.disabled is None:
            detail = {"ended_tokens": [token.id for token in ended]}
            event = Event(
                EventKind.USER_DISABLED, OPERATOR, user_id=known.id, email=known.email, detail=detail
            )
            await insert_event(connection, event)
    return user, ended


async def enable_user(services: Services, email: str) -> User:
    """Let a disabled user log in again; their old tokens stay deleted. Raises NotFound."""
    async with services.store.write() as connection:
        known = await lock_known_user(connection, email)
        if known.disabled is not None:
            event = Event(EventKind.USER_ENABLED, OPERATOR, user_id=known.id, email=known.email)
            await insert_event(connection, event)
        return await set_disabled(connection, known.id, disabled=False)
