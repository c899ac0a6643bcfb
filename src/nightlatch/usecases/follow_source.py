"""Follow a source: end and change here what has ended and changed there since an earlier import.

While both services run, people go on logging out, changing passwords, being disabled and deleted at the old
one. Only what was imported is touched, and of passwords only those that nobody has logged in with here.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from nightlatch.guard.django_passwords import is_django_hash
from nightlatch.model.errors import LastOwner, Refused
from nightlatch.model.event import OPERATOR, Event, EventKind
from nightlatch.model.moving import Plan, PlannedUser, Reason, Report
from nightlatch.model.names import Email, OrganizationId, Role, UserId
from nightlatch.model.token import TokenDigest
from nightlatch.store.connection import Connection
from nightlatch.store.events import insert_event
from nightlatch.store.imported import (
    FoundToken,
    delete_native_tokens,
    find_organizations,
    find_recorded,
    find_users,
    follow_password,
    list_imported_tokens,
    list_recorded,
    record,
    room_for,
    set_expiry,
)
from nightlatch.store.memberships import find_membership
from nightlatch.store.organizations import find_organizations_of_user
from nightlatch.store.password_links import delete_links
from nightlatch.store.tokens import delete_token
from nightlatch.store.users import list_users
from nightlatch.usecases.disable_user import disable_user
from nightlatch.usecases.end_tokens import ending_tokens
from nightlatch.usecases.find_person import find_known_user, keep_an_owner
from nightlatch.usecases.import_tokens import batches, password_digest, user_digest
from nightlatch.usecases.services import Services


@dataclass(frozen=True, slots=True)
class Gone:
    """What was imported, is live here, and is not there any more."""

    tokens: Mapping[bytes, OrganizationId]
    """Their digests, with their organizations."""
    users: Sequence[Email]


async def find_gone(services: Services, plan: Plan, end_most: bool | None) -> Gone:
    """What of an earlier import the source has not any more. Changes nothing.

    Raises Refused where that is more than half of it: the source is hardly the one that was imported. With
    `end_most` that is what is wanted, and with None nothing is going to be ended.
    """
    async with services.store.read() as connection:
        here = await list_imported_tokens(connection, plan.service)
        recorded = await list_recorded(connection, plan.service)
        users = [
            user.email
            for user in await list_users(connection)
            if user.disabled is None and user_digest(user.email) in recorded
        ]
    live = {digest: found.organization_id for digest, found in here.items() if found.live}
    tokens = {digest: id_ for digest, id_ in live.items() if digest not in plan.stored}
    gone = [email for email in users if email not in plan.emails]
    if end_most is False:
        _check(len(tokens), len(live), "tokens")
        _check(len(gone), len(users), "users")
    return Gone(tokens, gone)


def _check(gone: int, imported: int, what: str) -> None:
    if 2 * gone > imported:
        raise Refused(
            f"{gone} of the {imported} imported {what} that are live here are not in this source. Is it the "
            "one that they came from, and all of it? If they are to end, give --end-most too."
        )


def note_gone(plan: Plan, gone: Gone, follow: bool) -> None:
    """Remark it; of tokens only where they go on."""
    if gone.tokens and not follow:
        plan.remarks.add(Reason.ENDED_THERE, "", len(gone.tokens))
    for email in gone.users:
        plan.remarks.add(Reason.USER_GONE, email)


async def follow_source(services: Services, plan: Plan, gone: Gone, report: Report) -> None:
    """End tokens that are gone there, move expiries, disable users, take over changed passwords.

    When this returns, it is in force. In a dry run it is only counted. Raises StoreUnavailable.
    """
    await _end_tokens(services, plan, gone.tokens, report)
    await _move_expiries(services, plan, report)
    unusable_hash = await services.passwords.unusable_hash()
    disabled: list[Email] = []
    for batch in batches(sorted(plan.users, key=lambda user: user.email)):
        if report.dry_run:
            async with services.store.read() as connection:
                disabled += await _follow_users(connection, batch, unusable_hash, report)
        else:
            async with ending_tokens(services) as connection:
                disabled += await _follow_users(connection, batch, unusable_hash, report)
    for email in sorted({*disabled, *gone.users}):
        await _disable(services, email, report)


# --- tokens ---------------------------------------------------------------------------------------


async def _end_tokens(
    services: Services, plan: Plan, gone: Mapping[bytes, OrganizationId], report: Report
) -> None:
    report.followed["tokens_ended"] += len(gone)
    if report.dry_run:
        report.coming.subtract(gone.values())
        return
    for batch in batches(sorted(gone, key=lambda digest: (gone[digest], digest))):
        async with ending_tokens(services) as connection:
            # Organizations first, as everywhere: a login that makes place waits for them, too.
            await find_organizations(connection, sorted({gone[digest] for digest in batch}), lock=True)
            ended = [await delete_token(connection, TokenDigest(digest)) for digest in batch]
            detail = {"source": plan.service.value, "ended_tokens": sum(ended)}
            await insert_event(connection, Event(EventKind.IMPORTED, OPERATOR, detail=detail))


async def _move_expiries(services: Services, plan: Plan, report: Report) -> None:
    """Also of tokens that have expired here and not there, where they were refreshed meanwhile."""
    async with services.store.read() as connection:
        here = await list_imported_tokens(connection, plan.service)
    moved = [
        (here[token.digest.value], token.digest.value, token.expiry)
        for token in plan.tokens
        if token.digest.value in here and _differs(here[token.digest.value].expiry, token.expiry)
    ]
    report.followed["expiries_moved"] += len(moved)
    if report.dry_run:
        report.coming.update(found.organization_id for found, _, _ in moved if not found.live)
        return
    for batch in batches(sorted(moved, key=lambda item: (item[0].organization_id, item[1]))):
        await _set_expiries(services, batch)


async def _set_expiries(
    services: Services, batch: Sequence[tuple[FoundToken, bytes, datetime | None]]
) -> None:
    # As many as may come alive by it: which have expired is known when the organizations are locked.
    wanted = Counter(found.organization_id for found, _, _ in batch)
    async with ending_tokens(services) as connection:
        organizations = await find_organizations(connection, sorted(wanted), lock=True)
        async with room_for(connection, organizations.values(), wanted):
            for _, digest, expiry in batch:
                await set_expiry(connection, digest, expiry)


def _differs(here: datetime | None, there: datetime | None) -> bool:
    """An export has milliseconds, the database microseconds."""
    if here is None or there is None:
        return here is not there
    return abs((here - there).total_seconds()) >= 0.001


# --- users ----------------------------------------------------------------------------------------


async def _follow_users(
    connection: Connection, batch: Sequence[PlannedUser], unusable_hash: str, report: Report
) -> list[Email]:
    """Take over changed passwords; who is to be disabled."""
    found = await find_users(connection, [user.email for user in batch])
    recorded = await find_recorded(connection, [user_digest(email) for email in found])
    imported = [user for user in batch if user_digest(user.email) in recorded]
    changed: dict[UserId, Email] = {}
    for user in imported:
        here = found[user.email]
        # Our own hash means: logged in here, or changed here, which is the newer of the two.
        if not is_django_hash(here.password_hash) or user.password_hash == here.password_hash:
            continue
        if report.dry_run:
            report.followed["passwords_changed"] += 1
            continue
        new_hash = user.password_hash or unusable_hash
        version = await follow_password(connection, here.id, here.password_hash, new_hash)
        if version is not None:
            report.followed["passwords_changed"] += 1
            await record(connection, [password_digest(user.email, version)], report.service)
            await delete_links(connection, here.id)
            changed[here.id] = user.email
    if changed:
        await _note_changed(connection, changed)
    return [user.email for user in imported if not user.active and not found[user.email].disabled]


async def _note_changed(connection: Connection, changed: Mapping[UserId, Email]) -> None:
    """End the tokens that were given out here; those of there end when they end there."""
    ended = await delete_native_tokens(connection, list(changed))
    for user_id, email in changed.items():
        detail = {"ended_tokens": ended.get(user_id, [])}
        event = Event(EventKind.PASSWORD_CHANGED, OPERATOR, user_id=user_id, email=email, detail=detail)
        await insert_event(connection, event)


async def _disable(services: Services, email: Email, report: Report) -> None:
    """As an operator does it, who is refused the last owner of an organization."""
    try:
        if report.dry_run:
            async with services.store.read() as connection:
                await _keep_owners(connection, email)
        else:
            await disable_user(services, email)
    except LastOwner:
        report.remarks.add(Reason.LAST_OWNER, email)
    else:
        report.followed["users_disabled"] += 1


async def _keep_owners(connection: Connection, email: Email) -> None:
    """Raise LastOwner where `disable_user` would."""
    user = await find_known_user(connection, email)
    for organization in await find_organizations_of_user(connection, user.id):
        membership = await find_membership(connection, organization.id, user.id)
        if membership is not None and membership.role is Role.OWNER:
            await keep_an_owner(connection, membership)
