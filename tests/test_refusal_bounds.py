"""However many names and addresses somebody thinks of, refused logins fill neither disk nor memory."""

import secrets
from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from nightlatch.hot.refusals import DIFFERENT_MAX
from nightlatch.model.errors import StoreUnavailable
from nightlatch.model.event import EventFilter, EventKind, EventRecord
from nightlatch.model.origin import Origin
from nightlatch.model.refusal import NOTHING_COUNTED, CountedMinute, Name, Whom
from nightlatch.store import events, refusals
from nightlatch.store.connection import Connection
from nightlatch.store.tables import event
from nightlatch.usecases import flush_refusals as flushing
from nightlatch.usecases.flush_refusals import flush_refusals
from nightlatch.usecases.refuse_login import note_refusal
from nightlatch.usecases.show_events import show_events
from tests.accounts import Accounts, Person

pytestmark = pytest.mark.every_release


def recorded(accounts: Accounts, after: int = 0) -> list[EventRecord]:
    found: list[EventRecord] = []
    accounts.do(show_events, EventFilter(), 0, found.extend)
    return [event for event in found if event.id > after]


def last_id(accounts: Accounts) -> int:
    return int(accounts.sql("SELECT coalesce(max(id), 0) FROM event")[0][0])


def minutes(events: Iterable[EventRecord]) -> int:
    return len({event.at.replace(second=0, microsecond=0) for event in events})


def test_ten_thousand_unknown_names_from_as_many_networks_are_a_bounded_number_of_rows(
    accounts: Accounts,
) -> None:
    before = last_id(accounts)
    total = 0
    for begin in range(0, 10_000, 2500):
        for number in range(begin, begin + 2500):
            note_refusal(
                accounts.services,
                EventKind.LOGIN_REFUSED if number % 2 else EventKind.THROTTLED,
                "no such member",
                f"user{number}@example.com",
                "nowhere",
                Origin(f"10.{number // 250}.0.{number % 250}", "agent", "id"),
            )
            total += 1
        assert accounts.do(flush_refusals) == 2500
    events = recorded(accounts, before)
    assert len(events) <= minutes(events) * (flushing.UNKNOWN_ROWS_MAX + 2)
    assert sum(event.count for event in events) == total
    rest = [event for event in events if event.detail == {"reason": "various"}]
    assert {event.kind for event in rest} == {"login_refused", "throttled"}
    assert all((event.address, event.email, event.organization_id) == (None, None, None) for event in rest)


def test_known_names_are_bounded_too_and_unknown_ones_take_none_of_their_room(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flushing, "KNOWN_ROWS_MAX", 1_000_000)
    person = accounts.add_person()
    before = last_id(accounts)

    def note(username: str, number: int) -> None:
        origin = Origin(f"10.9.{number // 250}.{number % 250}")
        note_refusal(
            *(accounts.services, EventKind.LOGIN_REFUSED, "x", username, person.organization_id, origin)
        )

    for number in range(500):
        note("nobody@example.com", number)
    note(person.username, 501)
    accounts.do(flush_refusals)
    assert [event.count for event in recorded(accounts, before) if event.email == person.username] == [1]
    monkeypatch.undo()
    counted = sum(event.count for event in recorded(accounts))
    for number in range(1000):
        note(person.username, number)
    accounts.do(flush_refusals)
    events = [event for event in recorded(accounts, before) if event.email == person.username]
    assert len(events) <= flushing.KNOWN_ROWS_MAX * minutes(recorded(accounts, before))
    assert sum(event.count for event in recorded(accounts)) == counted + 1000


def test_nobodys_refusals_take_the_room_of_others(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flushing, "UNKNOWN_ROWS_MAX", 100)  # some are taken by other tests of this minute
    attacked, other = accounts.add_person(), accounts.add_person()
    before = last_id(accounts)
    for number in range(1000):
        origin = Origin(f"10.8.{number // 250}.{number % 250}")
        for name in (attacked.username, "nobody@example.com"):
            note_refusal(
                *(accounts.services, EventKind.LOGIN_REFUSED, "x", name, attacked.organization_id, origin)
            )
    for name in (other.username, "nobody@example.com"):
        note_refusal(
            *(
                accounts.services,
                EventKind.LOGIN_REFUSED,
                "x",
                name,
                other.organization_id,
                Origin("10.7.0.1"),
            )
        )
    accounts.do(flush_refusals)
    events = recorded(accounts, before)
    assert [event.address for event in events if event.organization_id == other.organization_id] == [
        "10.7.0.1",
        "10.7.0.1",
    ]
    of_attacked = [event for event in events if event.organization_id == attacked.organization_id]
    assert len(of_attacked) <= minutes(events) * 2 * (flushing.ADDRESSES_MAX + 1)
    assert sum(event.count for event in of_attacked) == 2000


def test_memory_between_two_flushes_is_bounded_and_still_counts_all(accounts: Accounts) -> None:
    refusals = accounts.services.refusals
    for number in range(3 * DIFFERENT_MAX):
        note_refusal(
            *(accounts.services, EventKind.THROTTLED, "address", f"u{number}@example.com"),
            *("acme", Origin(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", "agent", "id")),
        )
    counted = refusals.take()
    assert len(counted) == DIFFERENT_MAX + 1
    assert sum(each.count for each in counted) == 3 * DIFFERENT_MAX
    refusals.put_back(counted)
    assert sum(each.count for each in refusals.take()) == 3 * DIFFERENT_MAX


def test_rows_of_a_clock_that_was_ahead_are_not_of_this_minute(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flushing, "UNKNOWN_ROWS_MAX", 1_000_000)
    before = last_id(accounts)

    def refuse(address: str) -> None:
        origin = Origin(address)
        note_refusal(accounts.services, EventKind.LOGIN_REFUSED, "x", "nobody@example.com", "none", origin)
        accounts.do(flush_refusals)

    refuse("192.0.2.77")
    tomorrow = "at + 86400000000" if accounts.engines.sqlite_file is not None else "at + interval '1 day'"
    values = {column.name: column.name for column in event.c if column.name != "id"}
    values |= {"at": tomorrow, "address": "'192.0.2.78'"}
    accounts.sql(
        f"INSERT INTO event ({', '.join(values)}) SELECT {', '.join(values.values())} "
        "FROM event WHERE id > :before",
        before=before,
    )
    refuse("192.0.2.78")
    rows = accounts.sql("SELECT count FROM event WHERE id > :before", before=before)
    assert [row[0] for row in rows] == [1, 1, 1]


def test_what_one_flush_found_out_holds_for_the_same_minute_only(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_named, read_minute = refusals.find_named, refusals._read_minute
    asked: list[Name] = []
    later = timedelta(0)

    async def finding(connection: Connection, names: Collection[Name]) -> dict[Name, Whom]:
        asked.extend(names)
        return await find_named(connection, names)

    async def reading(connection: Connection) -> CountedMinute:
        minute = await read_minute(connection)
        return replace(minute, begin=minute.begin + later)

    def refuse(person: Person) -> None:
        note_refusal(
            *(accounts.services, EventKind.LOGIN_REFUSED, "x", person.username, person.organization_id),
            Origin("192.0.2.79"),
        )
        accounts.do(flush_refusals)

    def counted_twice() -> tuple[Person, int, int]:
        """A person refused twice, the last event before it, and the minute in which that was."""
        accounts.do(flush_refusals)  # with nothing to write it forgets
        person, before = accounts.add_person(), last_id(accounts)
        asked.clear()
        refuse(person)
        refuse(person)
        return person, before, minute_of(accounts)

    monkeypatch.setattr(flushing, "find_named", finding)
    monkeypatch.setattr(refusals, "_read_minute", reading)
    minute = minute_of(accounts)
    person, before, ended = counted_twice()
    if ended != minute:
        person, before, _ = counted_twice()
    assert [event.count for event in recorded(accounts, before)] == [2]
    assert len(asked) == 1
    # In another history the row's id may be another event's.
    accounts.sql("UPDATE change_counter SET epoch = :epoch", epoch=secrets.token_hex(8))
    known = accounts.services.refusals.minute
    refuse(person)
    assert accounts.services.refusals.minute.epoch != known.epoch
    assert len(asked) == 2
    rows = recorded(accounts, before)
    assert sum(event.count for event in rows) == 3
    later = timedelta(minutes=1)
    refuse(person)
    assert [event.count for event in recorded(accounts, before)] == [*(event.count for event in rows), 1]
    refuse(person)
    assert len(asked) == 3
    accounts.do(flush_refusals)
    assert accounts.services.refusals.named == {}
    assert accounts.services.refusals.minute == NOTHING_COUNTED


def minute_of(accounts: Accounts) -> int:
    """The database's clock, in minutes."""
    return int(accounts.run(_now(accounts)).timestamp() // 60)


async def _now(accounts: Accounts) -> datetime:
    async with accounts.services.store.read() as connection:
        return await events.read_now(connection)


def test_a_flush_that_failed_leaves_nothing_to_go_by(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = accounts.add_person()
    origin = Origin("192.0.2.80")
    note = (accounts.services, EventKind.LOGIN_REFUSED, "x", person.username, person.organization_id, origin)
    note_refusal(*note)
    accounts.do(flush_refusals)
    assert accounts.services.refusals.minute != NOTHING_COUNTED
    before = last_id(accounts)

    async def failing(*_: object) -> None:
        raise StoreUnavailable("gone")

    note_refusal(*note)
    with monkeypatch.context() as broken:
        broken.setattr(flushing, "raise_counts", failing)
        with pytest.raises(StoreUnavailable):
            accounts.do(flush_refusals)
    assert accounts.services.refusals.minute == NOTHING_COUNTED
    assert accounts.services.refusals.named == {}
    assert accounts.do(flush_refusals) == 1
    assert last_id(accounts) in (before, before + 1)
