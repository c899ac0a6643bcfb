"""Follow a source: end and change here what has ended and changed there since an earlier import.

While both services run, people go on logging out, changing passwords and being disabled at the old one.
Only what was imported is touched, and of passwords only those that nobody has logged in with here.
"""

from collections.abc import Sequence
from datetime import datetime

from nightlatch.guard.django_passwords import is_django_hash
from nightlatch.model.event import OPERATOR, Event, EventKind
from nightlatch.model.moving import Plan, PlannedUser, Reason, Report
from nightlatch.model.names import Email
from nightlatch.model.token import TokenDigest
from nightlatch.store import users
from nightlatch.store.connection import Connection
from nightlatch.store.events import insert_event
from nightlatch.store.imported import (
    FoundUser,
    find_recorded,
    find_users,
    list_imported_tokens,
    set_expiry,
)
from nightlatch.store.password_links import delete_links
from nightlatch.store.tokens import delete_token, delete_tokens_of_user
from nightlatch.usecases.end_tokens import ending_tokens
from nightlatch.usecases.import_tokens import batches, user_digest
from nightlatch.usecases.services import Services


async def note_ended_there(services: Services, plan: Plan) -> None:
    """Remark how many imported tokens the source has not any more."""
    async with services.store.read() as connection:
        there = await list_imported_tokens(connection, plan.service)
    gone = sum(digest not in plan.stored for digest in there)
    if gone:
        plan.remarks.add(Reason.ENDED_THERE, "", gone)


async def follow_source(services: Services, plan: Plan, report: Report) -> None:
    """End tokens that are gone there, move expiries, disable users, take over changed passwords.

    When this returns, it is in force. In a dry run it is only counted. Raises StoreUnavailable.
    """
    async with services.store.read() as connection:
        there = await list_imported_tokens(connection, plan.service)
    gone = [digest for digest in there if digest not in plan.stored]
    moved = [
        (token.digest.value, token.expiry)
        for token in plan.tokens
        if token.digest.value in there and _differs(there[token.digest.value], token.expiry)
    ]
    report.followed["tokens_ended"] += len(gone)
    report.followed["expiries_moved"] += len(moved)
    if not report.dry_run:
        for ended in batches(gone):
            async with ending_tokens(services) as connection:
                await _end(connection, ended, plan)
        for changed in batches(moved):
            async with ending_tokens(services) as connection:
                for digest, expiry in changed:
                    await set_expiry(connection, digest, expiry)
    for batch in batches(sorted(plan.users, key=lambda user: user.email)):
        if report.dry_run:
            async with services.store.read() as connection:
                await _follow_users(connection, batch, report)
        else:
            async with ending_tokens(services) as connection:
                await _follow_users(connection, batch, report)


def _differs(here: datetime | None, there: datetime | None) -> bool:
    """An export has milliseconds, the database microseconds."""
    if here is None or there is None:
        return here is not there
    return abs((here - there).total_seconds()) >= 0.001


async def _end(connection: Connection, digests: Sequence[bytes], plan: Plan) -> None:
    # In the order of their digests: two that follow at once do not wait for each other in a circle.
    ended = [await delete_token(connection, TokenDigest(digest)) for digest in sorted(digests)]
    detail = {"source": plan.service.value, "ended_tokens": sum(ended)}
    await insert_event(connection, Event(EventKind.IMPORTED, OPERATOR, detail=detail))


async def _follow_users(connection: Connection, batch: Sequence[PlannedUser], report: Report) -> None:
    found = await find_users(connection, [user.email for user in batch])
    recorded = await find_recorded(connection, [user_digest(email) for email in found])
    for user in batch:
        here = found.get(user.email)
        if here is None or user_digest(user.email) not in recorded:
            continue
        if not user.active and not here.disabled:
            report.followed["users_disabled"] += 1
            if not report.dry_run:
                await _disable(connection, user.email, here)
        # Our own hash means: logged in here, or changed here, which is the newer of the two.
        if (
            user.password_hash
            and is_django_hash(here.password_hash)
            and user.password_hash != here.password_hash
        ):
            report.followed["passwords_changed"] += 1
            if not report.dry_run:
                await users.set_password(connection, here.id, user.password_hash or "")
                await delete_links(connection, here.id)
                event = Event(EventKind.PASSWORD_CHANGED, OPERATOR, user_id=here.id, email=user.email)
                await insert_event(connection, event)


async def _disable(connection: Connection, email: Email, here: FoundUser) -> None:
    await users.set_disabled(connection, here.id, disabled=True)
    await delete_links(connection, here.id)
    ended = await delete_tokens_of_user(connection, here.id)
    detail = {"ended_tokens": [token.id for token in ended]}
    event = Event(EventKind.USER_DISABLED, OPERATOR, user_id=here.id, email=email, detail=detail)
    await insert_event(connection, event)
