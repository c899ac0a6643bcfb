"""H10: whoever is shut out while the hash of their login is computed gets no live token."""

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nightlatch.model.names import OrganizationId, Role
from nightlatch.model.origin import Origin
from nightlatch.usecases.close_organization import close_organization
from nightlatch.usecases.disable_user import disable_user
from nightlatch.usecases.issue_password_link import issue_password_link
from nightlatch.usecases.remove_member import remove_member
from nightlatch.usecases.set_password import set_password
from nightlatch.usecases.use_password_link import use_password_link
from tests.accounts import Accounts, Person
from tests.conftest import Database
from tests.crowd import login_request
from tests.serving import Serving
from tests.sockets import parse

pytestmark = [pytest.mark.slow, pytest.mark.every_release]

LOGINS = 40


def _set_by_link(accounts: Accounts, person: Person) -> None:
    link = accounts.do(issue_password_link, person.username, 60)
    accounts.do(use_password_link, link.secret.reveal(), "another password", Origin())


CHANGES: dict[str, Callable[[Accounts, Person], Any]] = {
    "disable": lambda accounts, person: accounts.do(disable_user, person.username),
    "remove": lambda accounts, person: accounts.do(
        remove_member, OrganizationId(person.organization_id), person.username
    ),
    "password": lambda accounts, person: accounts.do(set_password, person.username, "another password"),
    "link": _set_by_link,
    "close": lambda accounts, person: accounts.do(close_organization, OrganizationId(person.organization_id)),
}


@pytest.fixture(scope="module")
def slow_hashing(
    database: Database, accounts: Accounts, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Serving]:
    """A server whose hashes take about as long as the change does, with different numbers of turns."""
    serving = Serving(
        database.url,
        tmp_path_factory.mktemp("server") / "log",
        workers=2,
        password_hash_memory_kib=4096,
        password_hash_time_cost=4,
        password_hash_threads=2,
    ).wait_ready()
    yield serving
    serving.stop()


@pytest.mark.parametrize("change", CHANGES)
def test_no_login_under_way_leaves_a_live_token(
    change: str, accounts: Accounts, slow_hashing: Serving, tmp_path: Path
) -> None:
    met = 0
    for delay in (0.0, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2):
        owner = accounts.add_person(token_limit=2 * LOGINS)
        person = accounts.add_person_to(owner.organization_id, Role.MEMBER)
        connections = []
        for _ in range(LOGINS):
            connection = socket.create_connection(("127.0.0.1", slow_hashing.port), timeout=20)
            connection.sendall(login_request(person.login_body))
            connections.append(connection)
        time.sleep(delay)
        CHANGES[change](accounts, person)
        answered = []
        for connection in connections:
            received = b""
            while chunk := connection.recv(65536):
                received += chunk
            connection.close()
            answered.append(parse(received).status)
        assert set(answered) <= {200, 400}
        met += 0 < answered.count(400) < LOGINS
        left = accounts.sql(
            'SELECT count(*) FROM token JOIN "user" ON "user".id = token.user_id WHERE email = :email',
            email=person.username,
        )
        assert left[0][0] == 0, f"{change} after {delay} s left a live token"
    assert met > 0, "no change met a login under way: the test proves nothing"
