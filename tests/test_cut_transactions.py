"""RV3: the connection to PostgreSQL is cut at every message of a transaction; what is answered, holds."""

from collections.abc import Iterator

import pytest

from tests.accounts import Accounts
from tests.commands import run_command
from tests.cutting_proxy import CuttingProxy
from tests.postgresql import PostgresqlServer
from tests.serving import Serving
from tests.sockets import exchange, post_json, with_token

pytestmark = pytest.mark.slow
LEASE_MILLISECONDS = 50  # there are many waits
MESSAGES_MAX = 400

Site = tuple[Accounts, CuttingProxy, Serving]


@pytest.fixture(scope="module")
def site(postgresql_18: PostgresqlServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    url = postgresql_18.create_database()
    accounts = Accounts(url)
    assert run_command(url, "lease", "set", str(LEASE_MILLISECONDS)).code == 0
    proxy = CuttingProxy(postgresql_18.port)
    through = f"{url.replace(str(postgresql_18.port), str(proxy.port))}?sslmode=disable"
    serving = Serving(through, tmp_path_factory.mktemp("server") / "log", use_flush_seconds=3600)
    yield accounts, proxy, serving.wait_ready()
    assert serving.stop() == 0
    proxy.close()
    accounts.close()
    assert "Traceback" not in serving.log.read_text()


def _is_stored(accounts: Accounts, token: str) -> bool:
    return accounts.sql("SELECT 1 FROM token WHERE id = :id", id=token[4:16]) != []


def _until_known(port: int, method: str, path: str, token: str) -> int:
    """A connection that was cut while it was idle is noticed by whoever gets it."""
    for _ in range(40):
        status = exchange(port, method, path, with_token(token)).status
        if status != 503:
            break
    return status


def _verify(port: int, token: str) -> int:
    return _until_known(port, "GET", "/api/auth/verify/", token)


def _log_out(port: int, token: str) -> int:
    return _until_known(port, "POST", "/api/auth/logout/", token)


def test_rv3_a_logout_cut_off_at_any_message_is_answered_as_it_is_or_503(site: Site) -> None:
    accounts, proxy, serving = site
    person = accounts.add_person(token_limit=MESSAGES_MAX)
    cut: list[bytes] = []
    statuses: list[int] = []
    for at in range(1, MESSAGES_MAX):
        token = accounts.log_in(person)
        assert _verify(serving.port, token) == 200
        proxy.arm(at)
        status = exchange(serving.port, "POST", "/api/auth/logout/", with_token(token)).status
        proxy.disarm()
        stored = _is_stored(accounts, token)
        if proxy.cut is None:
            assert (status, stored) == (204, False)
            break
        cut.append(proxy.cut)
        statuses.append(status)
        assert status == 503 or (status == 204 and not stored), (at, proxy.cut, status)
        if status == 204:
            assert _verify(serving.port, token) == 401
        # 503 has promised nothing: memory may accept it for a lease.
        # Whoever asks again until it is known ends it, and hears the truth.
        assert _log_out(serving.port, token) == (204 if stored else 401)
        assert _verify(serving.port, token) == 401
    # BEGIN, and the answer to COMMIT: command complete, ready for query.
    assert cut[0] == b">Q"
    assert b"<C" in cut
    assert len(cut) > 20
    assert 503 in statuses


def test_a_login_cut_off_at_any_message_is_answered_with_a_token_that_lives_or_503(site: Site) -> None:
    accounts, proxy, serving = site
    person = accounts.add_person(token_limit=MESSAGES_MAX)
    accounts.log_in(person, address="127.0.0.1")  # a known address: one transaction, the token's
    at = live = 0
    for at in range(1, MESSAGES_MAX):
        proxy.arm(at)
        reply = post_json(serving.port, "/api/auth/login/", person.login_body)
        proxy.disarm()
        if reply.status == 200:
            live += 1
            assert _is_stored(accounts, reply.json["token"])
            assert _verify(serving.port, reply.json["token"]) == 200
        else:
            assert reply.status == 503, (at, proxy.cut)
            assert b"token" not in reply.body
        if proxy.cut is None:
            assert reply.status == 200
            break
    assert at > 20
    assert live < accounts.live_tokens(person.organization_id) <= MESSAGES_MAX
