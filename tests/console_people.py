"""People of the console in tests: an owner, a member and a stranger, signed in; what they leave behind."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nightlatch.model.errors import NightlatchError
from nightlatch.model.event import EventFilter, EventRecord
from nightlatch.model.names import OrganizationId, TokenId, UserId
from nightlatch.model.origin import Origin
from nightlatch.model.session import Session
from nightlatch.usecases.find_session import find_session
from nightlatch.usecases.show_events import show_events
from nightlatch.usecases.sign_in import sign_in
from tests.accounts import Accounts, Person

ORIGIN = Origin("192.0.2.7", "Mozilla/5.0", "0123456789abcdef")
NEW = "quite another password"


@dataclass
class Scene:
    """An owner and a member of one organization and an owner of another, each with a token and signed in."""

    accounts: Accounts
    owner: Person
    member: Person
    stranger: Person
    owners: str
    members: str
    strangers: str

    @property
    def organization_id(self) -> OrganizationId:
        return OrganizationId(self.owner.organization_id)

    def signed_in(self, person: Person) -> Session:
        return signed_in(self.accounts, person)

    def user_id(self, person: Person) -> UserId:
        row = self.accounts.sql('SELECT id FROM "user" WHERE email = :email', email=person.username)
        return UserId(row[0][0])


def signed_in(accounts: Accounts, person: Person) -> Session:
    secret = accounts.do(sign_in, person.credentials, ORIGIN)
    return accounts.do(find_session, secret.reveal())


def new_scene(accounts: Accounts) -> Scene:
    """The people of a test, none of whom another has."""
    owner, stranger = accounts.add_person(), accounts.add_person()
    member = accounts.add_person_to(owner.organization_id)
    tokens = [accounts.log_in(person) for person in (owner, member, stranger)]
    return Scene(accounts, owner, member, stranger, *tokens)


def token_id(token: str) -> TokenId:
    return TokenId(token[4:16])


def ids(records: Any) -> list[str]:
    return [record.id for record in records]


def stored(accounts: Accounts) -> list[list[str]]:
    """All that owners change, as raw SQL sees it; refusals are recorded a second or two later, by nobody."""
    tables = (
        '"user"',
        "organization",
        "membership",
        "token",
        "session",
        "invitation",
        "password_link",
        "event WHERE kind NOT IN ('login_refused', 'throttled', 'limit_reached')",
    )
    return [sorted(map(repr, accounts.sql(f"SELECT * FROM {table}"))) for table in tables]


def last_event(accounts: Accounts) -> int:
    return int(accounts.sql("SELECT coalesce(max(id), 0) FROM event")[0][0])


def recorded(accounts: Accounts, after: int) -> list[EventRecord]:
    found: list[EventRecord] = []
    accounts.do(show_events, EventFilter(), 0, found.extend)
    return sorted((event for event in found if event.id > after), key=lambda event: event.id)


def ago(accounts: Accounts, days: float) -> str:
    """An SQL expression for a moment so long ago, in the database's own representation."""
    if accounts.engines.sqlite_file is not None:
        return f"(CAST(strftime('%s', 'now') AS INTEGER) - {int(days * 86_400)}) * 1000000"
    return f"now() - interval '{days} days'"


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """What each returned or raised; they begin together."""
    barrier = threading.Barrier(len(calls))
    outcomes: list[Any] = [None] * len(calls)

    def run(number: int, call: Callable[[], Any]) -> None:
        barrier.wait()
        try:
            outcomes[number] = call()
        except NightlatchError as error:
            outcomes[number] = error

    threads = [threading.Thread(target=run, args=item) for item in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes
