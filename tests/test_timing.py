"""The five ways in which a login can fail for identity cannot be told apart by their time."""

import random
import statistics
import time
from itertools import combinations

import pytest

from nightlatch.model.names import Role
from nightlatch.usecases.disable_user import disable_user
from tests.accounts import Accounts, Person
from tests.conftest import Database
from tests.serving import Serving
from tests.sockets import post_json

ROUNDS = 250
pytestmark = pytest.mark.slow


def kinds(accounts: Accounts) -> dict[str, Person]:
    person = accounts.add_person()
    disabled = accounts.add_person_to(person.organization_id, Role.MEMBER)
    accounts.do(disable_user, disabled.username)
    other = accounts.add_person()
    return {
        "wrong password": Person(person.organization_id, person.username, "a wrong password"),
        "unknown user": Person(person.organization_id, "nobody@example.com"),
        "unknown organization": Person("zzzzzz", person.username),
        "no member": Person(other.organization_id, person.username),
        "disabled": disabled,
    }


def test_time_does_not_tell_why_a_login_failed(
    accounts: Accounts, database: Database, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # A hash of some milliseconds: long beside what a skipped one would save, short enough to repeat.
    serving = Serving(
        database.url,
        tmp_path_factory.mktemp("server") / "log",
        password_hash_memory_kib=4096,
        password_hash_time_cost=2,
    ).wait_ready()
    try:
        people = kinds(accounts)
        # The accounts were made with other parameters: their hashes must be this server's, or they
        # would be told apart by them until the next login.
        for username in {person.username for person in people.values()}:
            _rehash(accounts, username)
        times: dict[str, list[float]] = {kind: [] for kind in people}
        bodies: set[bytes] = set()
        for _ in range(ROUNDS):
            # In random order, so that a machine that slows down slows all kinds alike.
            for kind, person in random.sample(sorted(people.items()), len(people)):
                begin = time.perf_counter()
                reply = post_json(serving.port, "/api/auth/login/", person.login_body)
                times[kind].append(time.perf_counter() - begin)
                assert reply.status == 400
                bodies.add(reply.body)
    finally:
        serving.stop()
    assert len(bodies) == 1
    hash_seconds = statistics.median(times["wrong password"])
    for one, other in combinations(times, 2):
        first, second = _trimmed(times[one]), _trimmed(times[other])
        difference = abs(statistics.mean(first) - statistics.mean(second))
        error = (statistics.variance(first) / len(first) + statistics.variance(second) / len(second)) ** 0.5
        # Welch's t beyond 4.5 is the usual bound of leakage tests; a skipped hash gives t > 50. A
        # difference below 2 % of the hash drowns in what a network adds.
        assert difference / error < 4.5 or difference < 0.02 * hash_seconds, f"{one} / {other}"


def _trimmed(values: list[float]) -> list[float]:
    """Without the slowest tenth, which is other work of the machine."""
    return sorted(values)[: len(values) * 9 // 10]


def _rehash(accounts: Accounts, username: str) -> None:
    from argon2 import PasswordHasher

    stored = PasswordHasher(time_cost=2, memory_cost=4096, parallelism=1).hash("correct horse battery")
    accounts.sql('UPDATE "user" SET password_hash = :hash WHERE email = :email', hash=stored, email=username)
