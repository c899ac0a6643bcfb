"""Accept an invitation: once, and before it expires.

Whoever opens the link may be the person who is invited, the owner who made it, or somebody who found it. So
the link alone is worth a membership for an address that nobody has yet, and nothing else: an account that
there is joins only with its own password. Nor does anything tell which of the two it is before a password was
shown that would do for both: an owner would learn who has an account elsewhere.
"""

from typing import Final

from nightlatch.guard.passwords import is_too_long
from nightlatch.model.attempt import Attempt, client_network
from nightlatch.model.errors import AlreadyExists, CredentialsRejected, InvalidValue
from nightlatch.model.event import Actor, ActorKind, Event, EventKind
from nightlatch.model.invitation import FoundInvitation
from nightlatch.model.names import UserId
from nightlatch.model.origin import Origin
from nightlatch.model.records import Membership, OrganizationSummary
from nightlatch.model.secret import INVITATION, Secret
from nightlatch.store import invitations
from nightlatch.store.connection import Connection
from nightlatch.store.events import insert_event
from nightlatch.store.known_addresses import note_address
from nightlatch.store.logins import Invited, find_invited, lock_invited
from nightlatch.store.memberships import find_membership, insert_membership
from nightlatch.store.organizations import lock_organization
from nightlatch.store.password_links import delete_links
from nightlatch.store.pulse import confirm_primary
from nightlatch.store.throttles import give_back
from nightlatch.store.users import insert_user
from nightlatch.usecases.count_attempt import counted_attempt
from nightlatch.usecases.refuse_login import note_refusal, noting_refusals
from nightlatch.usecases.remember_used_up import wait_until_forgotten
from nightlatch.usecases.services import Services

_REFUSED: Final = "no such member"
"""Whether or not there is such a user: owners read it in the audit log."""


async def find_invitation(services: Services, text: str) -> FoundInvitation:
    """What the link in the text invites to. Looking does not use it up: mail scanners open links, too.

    Raises InvalidValue('link') for one that is malformed, expired, used, withdrawn or replaced.
    """
    secret = _spelled(text)
    async with services.store.read() as connection:
        found = await invitations.find_invitation(connection, secret)
        if found is None:
            await confirm_primary(connection)
    return _usable(found)


async def accept_invitation(services: Services, text: str, password: str, origin: Origin) -> Membership:
    """The new membership; of two who use a link at once, one succeeds.

    If there is a user with the address, the password must be theirs, and stays; else it becomes the new
    user's, whose address nobody has had. An attempt costs the same hash, and is counted against the account
    (address and organization) and the client's address before it, as a login's is.

    Raises InvalidValue('link'); InvalidValue('password') if the password fits no user and may not be set,
    whether or not there is a user; CredentialsRejected if it might be set, but the user has another one;
    Throttled, Overloaded, StoreUnavailable. After each of them but the last the link still works.
    """
    secret = _spelled(text)
    async with services.store.read() as connection:
        found = await invitations.find_invitation(connection, secret)
        if found is None:
            await confirm_primary(connection)
    invitation = _usable(found)
    attempt = Attempt(invitation.email, invitation.organization_id, client_network(origin.address))
    with noting_refusals(services, invitation.email, invitation.organization_id, origin):
        invited = await _check_password(services, invitation, attempt, password, origin)
        new_hash = None if invited.user_id is not None else await services.passwords.hash(password)
        async with services.store.write() as connection:
            organization = await lock_organization(connection, invitation.organization_id)
            if organization is None or organization.closed is not None:
                raise _gone()
            if not await invitations.take_invitation(connection, secret):
                raise _gone()
            user_id = await _hold_user(connection, invitation, invited, new_hash)
            is_new = invited.user_id is None
            membership = await _join(connection, invitation, user_id, origin, is_new)
            await give_back(connection, attempt.account, services.throttle.account)
            await give_back(connection, attempt.address, services.throttle.address)
            await note_address(connection, invitation.organization_id, user_id, attempt.network)
    await wait_until_forgotten(services, attempt)
    return membership


async def _check_password(
    services: Services, invitation: FoundInvitation, attempt: Attempt, password: str, origin: Origin
) -> Invited:
    """Who accepts: a user whose password this is, or a new one, who may have it."""
    if is_too_long(password):
        services.password_rules.check(password, invitation.email, ())  # which says so
    async with services.store.read() as connection:
        invited = await find_invited(connection, attempt)
    async with counted_attempt(services, attempt, invited.counted) as begin:
        matches = await services.passwords.matches(password, invited.password_hash, begin)
        if matches and invited.active:
            return invited
        # From here on, the same for those who have an account and those who have none.
        organization = OrganizationSummary(invitation.organization_id, invitation.organization_name)
        try:
            services.password_rules.check(password, invitation.email, [organization])
        except InvalidValue:
            # It may have been a guess at somebody's.
            kind, email = EventKind.LOGIN_REFUSED, invitation.email
            note_refusal(services, kind, _REFUSED, email, invitation.organization_id, origin)
            raise
        if invited.user_id is not None:
            raise CredentialsRejected(_REFUSED)
    return invited


async def _hold_user(
    connection: Connection, invitation: FoundInvitation, invited: Invited, new_hash: str | None
) -> UserId:
    if new_hash is not None:
        try:
            return (await insert_user(connection, invitation.email, new_hash)).id
        except AlreadyExists:
            # Added while the password was hashed.
            raise CredentialsRejected("changed during login") from None
    if invited.user_id is None or not await lock_invited(connection, invited):
        raise CredentialsRejected("changed during login")
    # An owner of another organization may have one.
    await delete_links(connection, invited.user_id)
    return invited.user_id


async def _join(
    connection: Connection, invitation: FoundInvitation, user_id: UserId, origin: Origin, is_new: bool
) -> Membership:
    organization_id, email, role = invitation.organization_id, invitation.email, invitation.role
    try:
        await insert_membership(connection, organization_id, user_id, email, role)
    except AlreadyExists:  # by the operator, since
        raise InvalidValue("link", "You are a member already. Sign in.") from None
    actor = Actor(ActorKind.USER, user_id, email, None, origin)
    if is_new:
        # Without the organization: its owners are not told who had an account before.
        await insert_event(connection, Event(EventKind.USER_ADDED, actor, None, user_id, email))
    detail = {"role": role, "invited_by": invitation.invited_by}
    event = Event(EventKind.MEMBER_ADDED, actor, organization_id, user_id, email, detail=detail)
    await insert_event(connection, event)
    membership = await find_membership(connection, organization_id, user_id)
    if membership is None:
        raise RuntimeError("a membership just inserted is missing")
    return membership


def _spelled(text: str) -> Secret:
    secret = INVITATION.parse(text)
    if secret is None:
        raise InvalidValue("link", "The link is incomplete. Open it again as it was sent, or copy all of it.")
    return secret


def _usable(found: FoundInvitation | None) -> FoundInvitation:
    if found is None:
        raise _gone()
    if found.expired:
        raise InvalidValue("link", "The invitation has expired. Ask for a new one where you got it.")
    return found


def _gone() -> InvalidValue:
    return InvalidValue(
        "link",
        "The invitation has been used or withdrawn, or a newer one has replaced it. If you have not become a "
        "member, ask for a new one where you got it.",
    )
