"""Import what a plan has: organizations, users with their memberships, tokens.

In batches, each a transaction of its own with its events, so that an import that was stopped is taken up
by running it again. Whatever is there already stays as it is. What was imported once is recorded for
good: who logged out here, or was removed, is not brought back by the next run.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from nightlatch.fresh.lease import CLOCK_RATE_FACTOR, HEARD_SECONDS_MAX
from nightlatch.model.event import OPERATOR, Event, EventKind
from nightlatch.model.moving import (
    OverLimit,
    Plan,
    PlannedToken,
    PlannedUser,
    Reason,
    Report,
    Service,
)
from nightlatch.model.names import Email, LimitPolicy, OrganizationId, Role, UserId
from nightlatch.model.records import (
    TIME_TO_LIVE_SECONDS_DEFAULT,
    TOKEN_LIMIT_DEFAULT,
    Organization,
)
from nightlatch.store.connection import Connection
from nightlatch.store.events import insert_event, read_now
from nightlatch.store.imported import (
    FoundUser,
    ImportedRow,
    count_live,
    find_members,
    find_organizations,
    find_present,
    find_recorded,
    find_users,
    insert_kinds,
    insert_members,
    insert_tokens,
    insert_users,
    record,
    room_for,
)
from nightlatch.store.organizations import insert_organization
from nightlatch.usecases.services import Services

BATCH: Final = 500

_Item = TypeVar("_Item")
Progress = Callable[[str, int, int], None]
"""Is told what is being imported, how many of it are done, and of how many."""


async def import_plan(services: Services, plan: Plan, dry_run: bool, progress: Progress) -> Report:
    """Bring in what is new. When this returns, every process accepts the tokens and knows the users.

    With `dry_run` nothing is written, and the report says what would be. Raises StoreUnavailable; what was
    committed before stays, and the next run goes on from there.
    """
    report = Report(plan.service, dry_run, plan.remarks)
    report.organizations.planned = len(plan.organizations)
    report.users.planned = len(plan.users)
    report.memberships.planned = sum(len(user.roles) for user in plan.users)
    report.tokens.planned = len(plan.tokens)
    if not dry_run:
        await _announce(services, plan)
    work = _Import(services, plan, report, await services.passwords.unusable_hash())
    await work.run(sorted(plan.organizations), work.organizations, "organizations", progress)
    await work.run(sorted(plan.users, key=lambda user: user.email), work.users, "users", progress)
    # One organization's tokens together, so that each is locked and told of in few transactions.
    tokens = sorted(plan.tokens, key=lambda token: (token.organization_id, token.digest.value))
    await work.run(tokens, work.tokens, "tokens", progress)
    if not dry_run:
        await services.currency.wait_in_force()
    return report


async def find_over_limit(services: Services, plan: Plan, report: Report) -> list[OverLimit]:
    """Organizations with more live tokens than they may have; in a dry run those that would have."""
    found: list[OverLimit] = []
    async with services.store.read() as connection:
        for batch in batches(sorted(plan.organizations)):
            organizations = await find_organizations(connection, batch, lock=False)
            counts = await count_live(connection, batch)
            for id_ in batch:
                organization = organizations.get(id_)
                limit, policy = (
                    (TOKEN_LIMIT_DEFAULT, LimitPolicy.REFUSE)
                    if organization is None
                    else (organization.token_limit, organization.limit_policy)
                )
                live = counts.get(id_, 0) + report.coming[id_]
                if live > limit:
                    found.append(OverLimit(id_, live, limit, policy))
    return found


def user_digest(email: Email) -> bytes:
    """What is recorded of an imported user."""
    return hashlib.sha256(f"user\n{email}".encode()).digest()


def membership_digest(organization_id: OrganizationId, email: Email) -> bytes:
    """What is recorded of an imported membership."""
    return hashlib.sha256(f"membership\n{organization_id}\n{email}".encode()).digest()


def password_digest(email: Email, version: int) -> bytes:
    """What is recorded of a password that was changed there: the version that it has got here by that."""
    return hashlib.sha256(f"password\n{version}\n{email}".encode()).digest()


def batches(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    """The items, so many at a time as one transaction takes."""
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]


async def _announce(services: Services, plan: Plan) -> None:
    """Have every process look up tokens of these kinds, before there is one of them."""
    async with services.store.write() as connection:
        await insert_kinds(connection, plan.kinds)
    await services.currency.wait_in_force()
    if not services.store.is_file:
        # With lease 0 a process refuses by what it has heard within this time.
        await asyncio.sleep(HEARD_SECONDS_MAX * CLOCK_RATE_FACTOR)


class _Import:
    """The batches of one import."""

    def __init__(self, services: Services, plan: Plan, report: Report, unusable_hash: str) -> None:
        self._services = services
        self._plan = plan
        self._report = report
        self._remarks = report.remarks
        self._write = not report.dry_run
        self._unusable_hash = unusable_hash

    async def run(
        self,
        items: Sequence[_Item],
        work: Callable[[Connection, Sequence[_Item]], Awaitable[None]],
        what: str,
        progress: Progress,
    ) -> None:
        """Each batch in a transaction of its own; in a dry run none is needed."""
        done = 0
        progress(what, 0, len(items))
        for batch in batches(items):
            async with self._connection() as connection:
                await work(connection, batch)
            done += len(batch)
            progress(what, done, len(items))

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        store = self._services.store
        async with store.write() if self._write else store.read() as connection:
            yield connection

    async def organizations(self, connection: Connection, batch: Sequence[OrganizationId]) -> None:
        """Make those that are not there, with the usual rules."""
        found = await find_organizations(connection, batch, lock=False)
        for organization_id in batch:
            if organization_id in found:
                continue
            self._report.organizations.new += 1
            if not self._write:
                continue
            added = await insert_organization(
                connection,
                organization_id,
                self._plan.organizations[organization_id],
                TOKEN_LIMIT_DEFAULT,
                LimitPolicy.REFUSE,
                TIME_TO_LIVE_SECONDS_DEFAULT,
            )
            detail = {
                "name": added.name,
                "token_limit": added.token_limit,
                "limit_policy": added.limit_policy,
                "time_to_live": added.time_to_live,
            }
            event = Event(EventKind.ORGANIZATION_ADDED, OPERATOR, organization_id, detail=detail)
            await insert_event(connection, event)

    async def users(self, connection: Connection, batch: Sequence[PlannedUser]) -> None:
        """Make those that are not there, and memberships that were never imported before."""
        organization_ids = sorted({id_ for user in batch for id_ in user.roles})
        organizations = await find_organizations(connection, organization_ids, lock=self._write)
        emails = [user.email for user in batch]
        users = await find_users(connection, emails)
        new = [user for user in batch if user.email not in users]
        self._report.users.new += len(new)
        if self._write and new:
            rows = [(user.email, user.password_hash or self._unusable_hash, user.active) for user in new]
            await insert_users(connection, rows, await read_now(connection))
            await record(connection, [user_digest(user.email) for user in new], self._plan.service)
            users |= await find_users(connection, [user.email for user in new])
        members = await self._new_members(connection, batch, organizations, users)
        self._report.memberships.new += len(members)
        if self._write:
            await self._insert_members(connection, members, users)
            if new:
                await insert_event(connection, self._event(None, users=len(new)))

    async def _new_members(
        self,
        connection: Connection,
        batch: Sequence[PlannedUser],
        organizations: dict[OrganizationId, Organization],
        users: dict[Email, FoundUser],
    ) -> list[tuple[OrganizationId, Email, Role]]:
        wanted = [
            (organization_id, user.email, role)
            for user in batch
            for organization_id, role in sorted(user.roles.items())
        ]
        there = await find_members(connection, [user.id for user in users.values()])
        recorded = await find_recorded(
            connection, [membership_digest(organization_id, email) for organization_id, email, _ in wanted]
        )
        new = []
        for organization_id, email, role in wanted:
            user = users.get(email)
            if user is not None and (organization_id, user.id) in there:
                continue
            if membership_digest(organization_id, email) in recorded:
                self._remarks.add(Reason.ENDED_HERE, f"{email} in {organization_id}")
            elif _is_closed(organizations.get(organization_id)):
                self._remarks.add(Reason.ORGANIZATION_CLOSED, organization_id)
            else:
                new.append((organization_id, email, role))
        return new

    async def _insert_members(
        self,
        connection: Connection,
        members: Sequence[tuple[OrganizationId, Email, Role]],
        users: dict[Email, FoundUser],
    ) -> None:
        if not members:
            return
        rows = [(organization_id, users[email].id, role) for organization_id, email, role in members]
        await insert_members(connection, rows, await read_now(connection))
        digests = [membership_digest(organization_id, email) for organization_id, email, _ in members]
        await record(connection, digests, self._plan.service)
        for organization_id, count in sorted(
            Counter(organization_id for organization_id, _, _ in rows).items()
        ):
            await insert_event(connection, self._event(organization_id, memberships=count))

    async def tokens(self, connection: Connection, batch: Sequence[PlannedToken]) -> None:
        """Store those that were never imported before."""
        organization_ids = sorted({token.organization_id for token in batch})
        organizations = await find_organizations(connection, organization_ids, lock=self._write)
        users = await find_users(connection, sorted({token.email for token in batch}))
        new = await self._new_tokens_of(connection, batch, organizations, users)
        counts = Counter(token.organization_id for token in new)
        self._report.tokens.new += len(new)
        if not self._write:
            self._report.coming.update(counts)
        if not self._write or not new:
            return
        now = await read_now(connection)
        rows = [
            ImportedRow(
                token.digest,
                token.organization_id,
                users[token.email].id,
                min(token.created or now, now),
                token.expiry,
            )
            for token in new
        ]
        async with room_for(connection, [organizations[id_] for id_ in counts], counts):
            await insert_tokens(connection, rows, f"imported from {_NAMES[self._plan.service]}")
        await record(connection, [token.digest.value for token in new], self._plan.service)
        for organization_id, count in sorted(counts.items()):
            await insert_event(connection, self._event(organization_id, tokens=count))

    async def _new_tokens_of(
        self,
        connection: Connection,
        batch: Sequence[PlannedToken],
        organizations: dict[OrganizationId, Organization],
        users: dict[Email, FoundUser],
    ) -> list[PlannedToken]:
        digests = [token.digest.value for token in batch]
        present = await find_present(connection, digests)
        recorded = await find_recorded(
            connection,
            [
                *digests,
                *(membership_digest(token.organization_id, token.email) for token in batch),
                *(user_digest(email) for email in users),
                *(password_digest(email, user.password_version) for email, user in users.items()),
            ],
        )
        members = await find_members(connection, [user.id for user in users.values()])
        new = []
        for token in batch:
            if token.digest.value in present:
                continue
            reason = self._refusal(token, recorded, members, organizations, users)
            if reason is None:
                new.append(token)
            else:
                self._remarks.add(reason, f"{token.email} in {token.organization_id}")
        return new

    def _refusal(
        self,
        token: PlannedToken,
        recorded: set[bytes],
        members: set[tuple[OrganizationId, UserId]],
        organizations: dict[OrganizationId, Organization],
        users: dict[Email, FoundUser],
    ) -> Reason | None:
        """Why a token that is not here does not come."""
        if token.digest.value in recorded:
            return Reason.ENDED_HERE
        if _is_closed(organizations.get(token.organization_id)):
            return Reason.ORGANIZATION_CLOSED
        user = users.get(token.email)
        if user is not None and user.disabled:
            return Reason.TOKEN_OF_INACTIVE_USER
        if user is not None and _is_changed_here(token.email, user, recorded):
            return Reason.ENDED_HERE
        if user is not None and (token.organization_id, user.id) in members:
            return None
        # In a dry run the membership is still to come, unless somebody has ended it here.
        coming = not self._write and membership_digest(token.organization_id, token.email) not in recorded
        return None if coming else Reason.ENDED_HERE

    def _event(self, organization_id: OrganizationId | None, **counts: int) -> Event:
        detail = {"source": self._plan.service.value, **counts}
        return Event(EventKind.IMPORTED, OPERATOR, organization_id, detail=detail)


_NAMES: Final = {Service.KNOX: "knox", Service.DRF: "Django REST framework"}


def _is_changed_here(email: Email, user: FoundUser, recorded: set[bytes]) -> bool:
    """Whether an imported user's password was changed here, or they were disabled here.

    All their tokens ended then. Who still has the password of there could have had another one made.
    """
    if user.password_version == 1 or user_digest(email) not in recorded:
        return False
    return password_digest(email, user.password_version) not in recorded


def _is_closed(organization: Organization | None) -> bool:
    return organization is not None and organization.closed is not None
