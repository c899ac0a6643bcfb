"""Show the audit log: to an owner their organization's, to an operator all of it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from nightlatch.model.errors import Forbidden
from nightlatch.model.event import EventFilter, EventRecord
from nightlatch.model.names import Role
from nightlatch.model.records import Page
from nightlatch.model.standing import Identity
from nightlatch.store.connection import Connection
from nightlatch.store.events import count_events, list_newest_events, list_oldest_events, read_now
from nightlatch.usecases.services import Services

COUNTED_MAX: Final = 10_000
"""Up to so many are counted; where there are more, only that there are more than the page shows."""

OFFSET_MAX: Final = 100_000
"""To skip more would take longer than one request may hold up others, on SQLite."""

READ_ROWS: Final = 1000
"""In one statement, where all are read."""

FOLLOW_SECONDS: Final = 1.0
LATE: Final = timedelta(seconds=60)
"""An event has the time of its writing, and is seen at its commit, which is later; never so much later."""

Receive = Callable[[Sequence[EventRecord]], None]


async def list_own_events(
    services: Services, identity: Identity, chosen: EventFilter, limit: int, offset: int
) -> Page[EventRecord]:
    """A page of the organization's events that fit, newest first. Raises Forbidden for a member.

    The organization is the identity's, whatever the filter says. The page's count is exact up to
    COUNTED_MAX; beyond it is so large that there is a next page while there are more. Beyond
    OFFSET_MAX there is nothing: whoever reads on narrows the time.
    """
    if identity.role is not Role.OWNER:
        raise Forbidden
    if offset > OFFSET_MAX:
        return Page((), COUNTED_MAX)
    own = replace(chosen, organization_id=identity.organization_id)
    async with services.store.read() as connection:
        count = await count_events(connection, own, max(COUNTED_MAX, offset + limit + 1))
        events = await list_newest_events(connection, own, limit, offset)
    return Page(tuple(events), count)


async def list_recent_events(services: Services, identity: Identity, limit: int) -> tuple[EventRecord, ...]:
    """What was last done to, and by, the identity's user in the organization, newest first."""
    own = EventFilter(identity.organization_id, identity.email)
    async with services.store.read() as connection:
        return tuple(await list_newest_events(connection, own, limit))


async def read_own_events(
    services: Services, identity: Identity, chosen: EventFilter
) -> AsyncIterator[list[EventRecord]]:
    """The organization's events that fit, oldest first, some at a time; for an owner.

    No connection is held while whoever reads takes their time. The organization is the identity's,
    whatever the filter says. Raises Forbidden, StoreUnavailable.
    """
    if identity.role is not Role.OWNER:
        raise Forbidden
    own, last = replace(chosen, organization_id=identity.organization_id), None
    while True:
        async with services.store.read() as connection:
            events = await list_oldest_events(connection, own, last, READ_ROWS)
        if not events:
            return
        yield events
        last = events[-1]


async def show_events(services: Services, chosen: EventFilter, limit: int, receive: Receive) -> None:
    """Hand over the newest events that fit, as many as `limit` (0: all), oldest first."""
    async with services.store.read() as connection:
        if limit:
            receive((await list_newest_events(connection, chosen, limit))[::-1])
            return
        last = None
        while events := await list_oldest_events(connection, chosen, last, READ_ROWS):
            receive(events)
            last = events[-1]


async def follow_events(services: Services, chosen: EventFilter, limit: int, receive: Receive) -> None:
    """The same, and then every event that comes; it ends by an error, or by being cancelled.

    An event whose count rises is handed over again.
    """
    async with services.store.read() as connection:
        since = await read_now(connection) - LATE
        # Before the others: what is committed in between is among those.
        earlier = await _list_recent(connection, chosen, since)
    seen = {event.id: event.count for event in earlier}

    def receive_and_keep(events: Sequence[EventRecord]) -> None:
        seen.update((event.id, event.count) for event in events if event.at >= since)
        receive(events)

    await show_events(services, chosen, limit, receive_and_keep)
    while True:
        await asyncio.sleep(FOLLOW_SECONDS)
        async with services.store.read() as connection:
            now = await read_now(connection)
            recent = await _list_recent(connection, chosen, since)
        fresh = [event for event in recent if seen.get(event.id) != event.count]
        if fresh:
            receive(fresh)
        since = now - LATE
        seen = {event.id: event.count for event in recent if event.at >= since}


async def _list_recent(connection: Connection, chosen: EventFilter, since: datetime) -> list[EventRecord]:
    if chosen.since is not None:
        since = max(since, chosen.since)
    return await list_oldest_events(connection, replace(chosen, since=since))
