"""Flush: write the refused logins that were counted in memory to the audit log.

One row for each user, address and minute, with a count; of names that are nobody's one for each
organization, address and minute. Whoever thinks of ever new names, from ever new addresses, gets a
bounded number of rows each minute: the rest is counted together in one row of its kind.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from nightlatch.model.event import Actor, ActorKind, Event, EventKind
from nightlatch.model.names import Email, OrganizationId, UserId
from nightlatch.model.origin import Origin
from nightlatch.model.refusal import CountedMinute, CountedRefusals, CountedRow, Name, Whom
from nightlatch.store.connection import Connection
from nightlatch.store.events import insert_events
from nightlatch.store.refusals import NAMES_MAX, find_named, list_counted, lock_counting, raise_counts
from nightlatch.usecases.services import Services

WRITTEN_MAX: Final = 125
"""In one transaction, which holds a lock for a millisecond or two and a few turns of the event loop."""

MERGED_MAX: Final = 25
"""So many at once are put together by rows, which holds the event loop for a tenth of a millisecond."""

UNKNOWN_ROWS_MAX: Final = 60
"""Rows a minute, over all addresses and processes, for names that are nobody's."""

KNOWN_ROWS_MAX: Final = 240
"""The same for known users' names."""

ADDRESSES_MAX: Final = 10
"""Rows a minute with an address of their own for one user, and for one organization's unknown names: so
nobody's refusals take the room of others."""

_NOBODY: Final = (None, None)
"""Nobody's in particular: they have the room for names that are nobody's to themselves."""

_REST: Final = "various"
"""The reason of a row in which all that there was no room for is counted."""


async def flush_refusals(services: Services) -> int:
    """Write what was counted since the last flush; how many refusals that were.

    Whoever guesses does so for a while: what one flush has found out, which user a name is and which rows
    there are, holds for those of the same minute. Raises StoreUnavailable; what was counted is kept for
    the next time.
    """
    refusals = services.refusals
    waiting = refusals.take()
    total = sum(each.count for each in waiting)
    if not waiting:
        refusals.forget()
        return 0
    try:
        async with services.store.read() as connection:
            refusals.see(await list_counted(connection, refusals.minute))
        named = {**refusals.named, **await _find_named(services, waiting)}
        refusals.learn(named)
        while waiting:
            await _let_requests_through()
            batch = waiting[:WRITTEN_MAX]
            async with services.store.write() as connection:
                minute = await _write(connection, batch, named, refusals.minute)
            refusals.see(minute)
            waiting = waiting[WRITTEN_MAX:]
    except BaseException:
        refusals.put_back(waiting)
        refusals.forget()
        raise
    return total


async def _let_requests_through() -> None:
    """On SQLite nothing else does: a read or a transaction goes on until it is done."""
    await asyncio.sleep(0)


async def _find_named(services: Services, waiting: list[CountedRefusals]) -> dict[Name, Whom]:
    """Whom they named, of those of whom it is not known."""
    known = services.refusals.named
    unknown = [name for name in {each.refusal.name for each in waiting} if name not in known]
    named: dict[Name, Whom] = {}
    for begin in range(0, len(unknown), NAMES_MAX):
        async with services.store.read() as connection:
            named |= await find_named(connection, unknown[begin : begin + NAMES_MAX])
        await _let_requests_through()
    return named


async def _write(
    connection: Connection,
    batch: list[CountedRefusals],
    named: Mapping[Name, Whom],
    minute: CountedMinute,
) -> CountedMinute:
    """Write a batch; `minute` may be older, so that little is left to read while others wait."""
    await lock_counting(connection)
    minute = await list_counted(connection, minute)
    rows = minute.rows
    merged = await _merged(batch, named, rows)
    await raise_counts(connection, {rows[row]: count for row, (_, _, count) in merged.items() if row in rows})
    await insert_events(
        connection,
        [
            (_event(row, first, email), count)
            for row, (first, email, count) in merged.items()
            if row not in rows
        ],
    )
    return minute


async def _merged(
    batch: list[CountedRefusals], named: Mapping[Name, Whom], rows: Mapping[CountedRow, int]
) -> dict[CountedRow, tuple[Origin, Email | None, int]]:
    """The batch by rows, of which no more are new than there is room for this minute."""
    known = sum(row.user_id is not None for row in rows)
    room = {True: KNOWN_ROWS_MAX - known, False: UNKNOWN_ROWS_MAX - (len(rows) - known)}
    merged: dict[CountedRow, tuple[Origin, Email | None, int]] = {}
    addresses = Counter(whose for whose in map(_whose, rows) if whose != _NOBODY)
    for number, each in enumerate(batch, 1):
        if number % MERGED_MAX == 0:
            await _let_requests_through()
        refusal, first = each.refusal, each.first
        whom = named[refusal.name]
        row = CountedRow(
            refusal.kind, refusal.reason, whom.organization_id, whom.user_id, refusal.network or None
        )
        if row not in rows and row not in merged and addresses[_whose(row)] >= ADDRESSES_MAX:
            row, first = replace(row, address=None), Origin()
        if row not in rows and row not in merged:
            is_known = row.user_id is not None
            if room[is_known] <= 0:
                row, first = CountedRow(row.kind, _REST, None, None, None), Origin()
            else:
                room[is_known] -= 1
        if row not in rows and row not in merged and _whose(row) != _NOBODY:
            addresses[_whose(row)] += 1
        # With a user the name is their address. Any other is left out: people type passwords there.
        email = None if row.user_id is None else Email(refusal.username or "")
        first, email, before = merged.get(row, (first, email, 0))
        merged[row] = (first, email, before + each.count)
    return merged


def _whose(row: CountedRow) -> tuple[OrganizationId | None, UserId | None]:
    """The same user, or the organization's unknown names."""
    return row.organization_id, row.user_id


def _event(row: CountedRow, first: Origin, email: Email | None) -> Event:
    # Of those whom only the limit kept from logging in, the password was right.
    is_user = row.kind is EventKind.LIMIT_REACHED and row.user_id is not None
    origin = Origin(row.address or "", first.user_agent, first.request_id)
    if is_user:
        actor = Actor(ActorKind.USER, row.user_id, email, None, origin)
    else:
        actor = Actor(ActorKind.ANONYMOUS, origin=origin)
    return Event(row.kind, actor, row.organization_id, row.user_id, email, detail={"reason": row.reason})
