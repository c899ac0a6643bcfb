"""Find the user or the member that somebody named, or say what to do instead."""

from typing import Final

from nightlatch.model.errors import LastOwner, NotFound
from nightlatch.model.event import OPERATOR, Actor, ActorKind
from nightlatch.model.names import OrganizationId, UserId, normalize_email
from nightlatch.model.records import Membership, User
from nightlatch.model.standing import Identity
from nightlatch.store.connection import Connection
from nightlatch.store.memberships import count_other_active_owners, find_membership
from nightlatch.store.organizations import lock_organization
from nightlatch.store.users import find_user, lock_user
from nightlatch.usecases.organization_rules import no_organization

_USER_ID_MAX: Final = 2**63 - 1
"""A larger number neither database would look for."""


def _no_user(email: str) -> NotFound:
    return NotFound(f"There is no user '{email}'. To see which there are: nightlatch user list")


async def find_known_user(connection: Connection, email: str) -> User:
    """The user with that e-mail address. Raises NotFound."""
    user = await find_user(connection, normalize_email(email))
    if user is None:
        raise _no_user(email)
    return user


async def lock_known_user(connection: Connection, email: str) -> User:
    """The same, locked to the end of the transaction. Raises NotFound."""
    user = await lock_user(connection, normalize_email(email))
    if user is None:
        raise _no_user(email)
    return user


async def lock_open_organization(connection: Connection, organization_id: OrganizationId) -> None:
    """Lock the organization to the end of the transaction. Raises NotFound, also for a closed one."""
    organization = await lock_organization(connection, organization_id)
    if organization is None or organization.closed is not None:
        raise no_organization(organization_id)


async def lock_membership(connection: Connection, organization_id: OrganizationId, email: str) -> Membership:
    """A member, with the organization locked. Raises NotFound."""
    await lock_open_organization(connection, organization_id)
    user = await find_known_user(connection, email)
    membership = await find_membership(connection, organization_id, user.id)
    if membership is None:
        raise NotFound(
            f"'{email}' is no member of '{organization_id}'. To see who is: "
            f"nightlatch member list --organization {organization_id}"
        )
    return membership


async def keep_an_owner(connection: Connection, membership: Membership, actor: Actor = OPERATOR) -> None:
    """Raise LastOwner if the organization, which is locked, has no other active owner."""
    others = await count_other_active_owners(connection, membership.organization_id, membership.user_id)
    if others:
        return
    organization_id = membership.organization_id
    last = f"'{membership.email}' is the last owner of '{organization_id}'. Give it another owner first"
    if actor.kind is not ActorKind.OPERATOR:
        raise LastOwner(f"{last}.")
    raise LastOwner(f"{last}, or close the organization: nightlatch organization close {organization_id}")


async def find_fellow(connection: Connection, identity: Identity, user_id: UserId) -> Membership:
    """A member of an owner's organization, which is locked. Raises NotFound, as of one that never was."""
    membership = None
    if 0 < user_id <= _USER_ID_MAX:
        membership = await find_membership(connection, identity.organization_id, user_id)
    if membership is None:
        raise NotFound("There is no such member, or not any more.")
    return membership
