"""What a use case finds on a primary that was deposed is told to nobody (H15, H21, H28).

The deposed one answers, and the new one would confirm anything: so only what was asked on the very
connection that did the finding can tell.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from nightlatch.model.errors import StoreUnavailable
from nightlatch.model.origin import Origin
from nightlatch.model.secret import INVITATION, PASSWORD_LINK, SESSION, Secret
from nightlatch.model.standing import Caller
from nightlatch.model.token import generate_token
from nightlatch.store import postgresql_pool, primary
from nightlatch.usecases.accept_invitation import find_invitation
from nightlatch.usecases.change_lease import change_lease
from nightlatch.usecases.find_session import find_session
from nightlatch.usecases.identify import identify
from nightlatch.usecases.revoke_presented import revoke_presented
from nightlatch.usecases.services import Services
from nightlatch.usecases.sign_in import sign_in
from nightlatch.usecases.use_password_link import find_password_link
from tests.accounts import Accounts, Person
from tests.memory import Memory
from tests.replication import ReplicatedPair

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Split:
    """Use cases that read and write on the deposed primary and wait by the word of the new one."""

    accounts: Accounts
    services: Services
    person: Person
    caller: Caller
    session: Secret


@pytest.fixture
def split(monkeypatch: pytest.MonkeyPatch) -> Iterator[Split]:
    monkeypatch.setattr(postgresql_pool, "COMMIT_SECONDS_MAX", 1.0)
    monkeypatch.setattr(primary, "COMMAND_SECONDS_MAX", 1.0)
    with ReplicatedPair() as pair:
        old = Accounts(pair.primary.url())
        person = old.add_person()
        identity = old.run(identify(old.services, person.credentials, Origin()))
        session = old.do(sign_in, person.credentials, Origin())
        old.do(find_session, session.reveal())
        pair.cut_link()
        pair.promote()
        new = Accounts(pair.primary.url())
        try:
            services = replace(old.services, currency=new.services.currency)
            yield Split(old, services, person, Caller(identity, None, Origin()), session)
        finally:
            old.close()
            new.close()


def test_that_there_was_nothing_to_revoke(split: Split) -> None:
    token = generate_token().reveal().encode()
    with pytest.raises(StoreUnavailable):
        split.accounts.run(revoke_presented(split.services, split.caller, token))


def test_that_a_link_has_been_used(split: Split) -> None:
    with pytest.raises(StoreUnavailable):
        split.accounts.run(find_password_link(split.services, PASSWORD_LINK.generate().reveal()))


def test_that_a_password_is_right(split: Split) -> None:
    with pytest.raises(StoreUnavailable):
        split.accounts.run(identify(split.services, split.person.credentials, Origin()))


def test_that_a_session_goes_on_or_has_ended_or_an_invitation_was_used(split: Split) -> None:
    """The new primary may have ended the one, and know the others, which were begun there."""
    for find, secret in (
        (find_session, split.session),
        (find_session, SESSION.generate()),
        (find_invitation, INVITATION.generate()),
    ):
        with pytest.raises(StoreUnavailable):
            split.accounts.run(find(split.services, secret.reveal()))


def test_that_a_token_is_unknown_while_the_lease_from_before_the_promotion_holds() -> None:
    with ReplicatedPair() as pair:
        old = Accounts(pair.primary.url())
        person = old.add_person()
        old.do(change_lease, 10_000)
        memory = Memory(old)
        try:
            old.run(memory.currency.wait_current())
            pair.cut_link()
            pair.promote()
            new = Accounts(pair.primary.url())
            token = new.log_in(person)
            new.close()
            with pytest.raises(StoreUnavailable):
                memory.accepts(token)
            assert old.run(database_seconds(memory)) is not None  # it is not for want of a lease
        finally:
            memory.close()
            old.close()


async def database_seconds(memory: Memory) -> float | None:
    seconds: float | None = memory.currency.database_seconds_nowait()
    return seconds
