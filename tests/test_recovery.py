"""PostgreSQL recovered to a point in time: what was ended after it does not come back."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nightlatch.usecases.disable_user import disable_user
from tests.accounts import Accounts
from tests.archiving import ArchivingServer
from tests.commands import run_command
from tests.conftest import RELEASES, need
from tests.postgresql import DEBIAN_15, embedded_installation
from tests.serving import Serving
from tests.sockets import exchange, post_json, with_token

pytestmark = pytest.mark.slow


@pytest.fixture(params=[kind for kind in RELEASES if kind != "sqlite"])
def postgresql(request: pytest.FixtureRequest) -> Iterator[ArchivingServer]:
    if request.param == "postgresql-15":
        need((DEBIAN_15 / "bin" / "initdb").exists(), "Debian's postgresql-15")
    server = ArchivingServer(DEBIAN_15 if request.param == "postgresql-15" else embedded_installation())
    yield server
    server.remove()


def _verify(port: int, token: str) -> int:
    return exchange(port, "GET", "/api/auth/verify/", with_token(token)).status


def test_recovery_to_a_point_in_time_brings_no_ended_token_back(
    postgresql: ArchivingServer, tmp_path: Path
) -> None:
    url = postgresql.create_database()
    accounts = Accounts(url)
    person, other = accounts.add_person(), accounts.add_person()
    colleague = accounts.add_person_to(person.organization_id)
    before_backup = accounts.log_in(person)
    postgresql.back_up()
    server = Serving(url, tmp_path / "log").wait_ready(60)
    try:
        revoked, kept, others = (accounts.log_in(each) for each in (person, person, other))
        assert [_verify(server.port, token) for token in (before_backup, revoked, kept, others)] == [200] * 4
        epoch = accounts.sql("SELECT epoch FROM change_counter")
        ((target,),) = accounts.sql("SELECT now()::text")
        assert exchange(server.port, "POST", "/api/auth/logout/", with_token(revoked)).status == 204
        late = accounts.log_in(person)
        accounts.do(disable_user, colleague.username)
    finally:
        assert server.stop() == 0
        accounts.close()
    postgresql.lose()

    postgresql.recover(target)
    recovered = Accounts(url)
    try:
        # What makes it dangerous: the ended token is in the tables again, and nothing tells.
        ids = {row[0] for row in recovered.sql("SELECT id FROM token")}
        assert ids == {token[4:16] for token in (before_backup, revoked, kept, others)}
        assert run_command(url, "migrate").code == 0
        said = run_command(url, "restored", "--yes", "--json").document
        assert said["ended_token_count"] == 4
        assert colleague.username in {item["email"] for item in said["review"]}
        assert recovered.sql("SELECT epoch FROM change_counter") != epoch
    finally:
        recovered.close()
    server = Serving(url, tmp_path / "log").wait_ready(60)
    try:
        for token in (before_backup, revoked, kept, others, late) * 2:
            assert _verify(server.port, token) == 401
        for each in (person, colleague):  # who was disabled after the target is not: somebody has to look
            login = post_json(server.port, "/api/auth/login/", each.login_body)
            assert _verify(server.port, login.json["token"]) == 200
    finally:
        assert server.stop() == 0


def test_a_server_that_runs_through_a_recovery_accepts_no_token_from_memory_after_it(
    postgresql: ArchivingServer, tmp_path: Path
) -> None:
    """The docs say to stop it first; whoever forgets it must be no worse off once `restored` has returned."""
    url = postgresql.create_database()
    accounts = Accounts(url)
    person = accounts.add_person()
    postgresql.back_up()
    server = Serving(url, tmp_path / "log", workers=2).wait_ready(60)
    try:
        ((target,),) = accounts.sql("SELECT now()::text")
        lost = accounts.log_in(person)
        assert [_verify(server.port, lost) for _ in range(8)] == [200] * 8
        accounts.close()
        postgresql.lose()
        postgresql.recover(target)
        server.wait_ready(30)
        assert run_command(url, "restored", "--yes").code == 0
        assert [_verify(server.port, lost) for _ in range(8)] == [401] * 8
    finally:
        assert server.stop() == 0
