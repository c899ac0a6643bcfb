"""A login brings an old hash up to the parameters in force, and stores argon2id only."""

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.low_level import Type

from nightlatch.model.origin import Origin
from nightlatch.settings import Settings
from nightlatch.usecases.log_in import Login, log_in
from tests.accounts import Accounts

pytestmark = pytest.mark.every_release


def stored_hash(accounts: Accounts, username: str) -> str:
    rows = accounts.sql('SELECT password_hash FROM "user" WHERE email = :email', email=username)
    return str(rows[0][0])


def test_a_login_rehashes_with_the_parameters_in_force_and_only_once(accounts: Accounts) -> None:
    person = accounts.add_person()
    old = PasswordHasher(time_cost=3, memory_cost=64, parallelism=2).hash(person.password)
    accounts.sql(
        'UPDATE "user" SET password_hash = :old WHERE email = :email', old=old, email=person.username
    )
    accounts.do(log_in, Login(person.credentials, "", None, Origin()))
    new = stored_hash(accounts, person.username)
    parameters = extract_parameters(new)
    assert (parameters.type, parameters.memory_cost, parameters.time_cost) == (Type.ID, 8, 1)
    accounts.do(log_in, Login(person.credentials, "", None, Origin()))
    assert stored_hash(accounts, person.username) == new


def test_default_parameters_are_owasps() -> None:
    settings = Settings()
    assert settings.password_hash_memory_kib == 19 * 1024
    assert settings.password_hash_time_cost == 2
    assert settings.password_hash_parallelism == 1
