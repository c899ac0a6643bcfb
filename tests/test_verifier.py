"""The verifier in an API's own process: what it accepts, refuses, and never accepts again."""

import asyncio
import os
import secrets
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack
from ipaddress import ip_network
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import pytest

from nightlatch.hot.header import HeaderFault
from nightlatch.model.names import OrganizationId, Role
from nightlatch.model.origin import Origin
from nightlatch.model.token import generate_token, parse_token
from nightlatch.store import schema
from nightlatch.usecases.change_lease import change_lease
from nightlatch.usecases.close_organization import close_organization
from nightlatch.usecases.disable_user import disable_user
from nightlatch.usecases.log_out import log_out
from nightlatch.verifier import (
    CannotStart,
    NightlatchError,
    OutsideScope,
    TokenIdentity,
    TokenRejected,
    Unavailable,
    Verifier,
    WrongOrganization,
    open_verifier,
)
from tests.accounts import Accounts, Person
from tests.conftest import Database
from tests.malformed import malformed_headers
from tests.postgresql import PostgresqlServer, embedded_installation
from tests.serving import Serving
from tests.sockets import exchange, with_token

LOGOUTS = 40
VERIFIER_ROLE = (
    (Path(__file__).parent.parent / "docs" / "verifier.md")
    .read_text("utf-8")
    .partition("```sql\n")[2]
    .partition("```")[0]
)

_Result = TypeVar("_Result")


class Api:
    """An API's event loop in a thread of its own, with a verifier on it; blocking calls for tests."""

    def __init__(self, database_url: str, **options: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._stack = AsyncExitStack()
        try:
            self.verifier: Verifier = self.run(
                self._stack.enter_async_context(open_verifier(database_url, **options))
            )
        except BaseException:
            self._end()
            raise

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def verify(self, token: str, **options: Any) -> TokenIdentity:
        return self.run(self.verifier.verify(f"Token {token}", "192.0.2.7", **options))

    def refusal(self, authorization: str | bytes | None, *told: Any, **options: Any) -> NightlatchError:
        with pytest.raises(NightlatchError) as caught:
            self.run(self.verifier.verify(authorization, *told, **options))
        return caught.value

    def block(self, seconds: float) -> None:
        """Block the loop, as a synchronous call in a handler does."""

        async def block() -> None:
            time.sleep(seconds)

        self.run(block())

    def close(self) -> None:
        self.run(self._stack.aclose())
        self._end()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture(scope="module")
def api(database: Database, accounts: Accounts) -> Iterator[Api]:
    opened = Api(database.url)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def person(accounts: Accounts) -> Person:
    return accounts.add_person(token_limit=1000)


def answers_at_once(api: Api, token: str) -> bool:
    """Whether memory answered: the coroutine ends at its first step, without suspension."""

    async def step() -> bool:
        work = api.verifier.verify(f"Token {token}".encode())
        try:
            work.send(None)
        except StopIteration as done:
            return isinstance(done.value, TokenIdentity)
        work.close()
        return False

    return api.run(step())


def test_it_tells_who_acts_in_which_organization_and_by_which_token(
    api: Api, accounts: Accounts, person: Person
) -> None:
    token = accounts.log_in(person)
    for _ in range(2):  # asked of the database, then of memory
        identity = api.verify(token)
        assert (identity.organization_id, identity.email) == (person.organization_id, person.username)
        assert (identity.role, identity.token_id) == (Role.OWNER, token[4:16])
        (user_id,) = accounts.sql('SELECT id FROM "user" WHERE email = :email', email=person.username)[0]
        assert identity.user_id == user_id
    listed = exchange_expiry(accounts, token)
    assert identity.expiry is not None
    assert abs(identity.expiry.timestamp() - listed) < 1e-3


def exchange_expiry(accounts: Accounts, token: str) -> float:
    (expiry,) = accounts.sql("SELECT expiry FROM token WHERE id = :id", id=token[4:16])[0]
    return expiry / 1e6 if isinstance(expiry, int) else float(expiry.timestamp())


def test_a_user_whose_address_is_not_ascii_is_told_as_it_is(api: Api, accounts: Accounts) -> None:
    organization = accounts.add_person().organization_id
    name = f"møller%{secrets.token_hex(4)}@exämple.com"
    person = accounts.add_person_to(organization)
    accounts.sql('UPDATE "user" SET email = :new WHERE email = :old', new=name, old=person.username)
    token = accounts.log_in(Person(organization, name))
    assert api.verify(token).email == name


def test_a_known_token_is_answered_without_suspension(api: Api, accounts: Accounts, person: Person) -> None:
    token = accounts.log_in(person)
    api.verify(token)
    deadline = time.monotonic() + 5
    while not answers_at_once(api, token):  # a lease may just be running out
        assert time.monotonic() < deadline
    for authorization in (f"Token {token}", f"Token {token}".encode(), f"  tOKEN\t{token} "):
        assert api.run(api.verifier.verify(authorization)).token_id == token[4:16]


def test_every_header_is_refused_in_the_words_of_the_server(
    api: Api, accounts: Accounts, person: Person, server: Serving
) -> None:
    token = accounts.log_in(person)
    ended = accounts.log_in(person)
    accounts.expire(ended)
    for value in (*malformed_headers(token, ended), f"Token {generate_token().reveal()}"):
        reply = exchange(server.port, "GET", "/api/auth/verify/", [("Authorization", value)])
        for form in (value, value.encode("latin-1")):
            refusal = api.refusal(form)
            assert isinstance(refusal, TokenRejected)
            assert (reply.status, reply.json) == (401, {"detail": refusal.public}), value
            assert token not in f"{refusal} {refusal.public} {refusal.detail}"
    assert api.refusal(None).public == HeaderFault.ABSENT.value
    assert isinstance(api.refusal(f"Token {token}☃"), TokenRejected)


def test_another_organizations_token_is_refused_where_one_is_asked_for(
    api: Api, accounts: Accounts, person: Person
) -> None:
    token = accounts.log_in(person)
    other = accounts.add_person().organization_id
    for _ in range(2):
        assert api.verify(token, organization_id=person.organization_id).email == person.username
        for organization_id in (other, "", "zz", person.organization_id.upper()):
            if organization_id == person.organization_id:
                continue  # an id of digits
            with pytest.raises(WrongOrganization):
                api.verify(token, organization_id=organization_id)
    with pytest.raises(TokenRejected):
        api.verify(generate_token().reveal(), organization_id=other)


def test_a_logout_on_a_server_is_in_force_in_the_verifier_when_it_is_answered(
    api: Api, accounts: Accounts, person: Person, server: Serving
) -> None:
    for _ in range(LOGOUTS):
        token = accounts.log_in(person)
        api.verify(token)
        assert exchange(server.port, "POST", "/api/auth/logout/", with_token(token)).status == 204
        with pytest.raises(TokenRejected):
            api.verify(token)


def test_a_token_verified_all_the_while_is_refused_from_the_answer_on(
    api: Api, accounts: Accounts, person: Person, server: Serving
) -> None:
    async def keep_verifying(token: str, accepted: list[float], ended: threading.Event) -> None:
        begun = 0.0
        while not ended.is_set():
            begun = time.monotonic()
            try:
                await api.verifier.verify(f"Token {token}")
                accepted.append(begun)
            except TokenRejected:
                pass
            await asyncio.sleep(0)

    for _ in range(5):
        token = accounts.log_in(person)
        accepted: list[float] = []
        ended = threading.Event()
        verifying = asyncio.run_coroutine_threadsafe(keep_verifying(token, accepted, ended), api._loop)
        while not accepted:
            time.sleep(0.001)
        assert exchange(server.port, "POST", "/api/auth/logout/", with_token(token)).status == 204
        answered = time.monotonic()
        time.sleep(0.05)
        ended.set()
        verifying.result(10)
        assert max(accepted) < answered


def test_a_disabled_user_a_closed_organization_and_an_expired_token_are_refused(
    api: Api, accounts: Accounts
) -> None:
    first = accounts.add_person()
    second = accounts.add_person_to(first.organization_id)
    one, other, expired = accounts.log_in(first), accounts.log_in(second), accounts.log_in(first)
    for token in (one, other, expired):
        api.verify(token)
    accounts.do(disable_user, second.username)
    assert isinstance(api.refusal(f"Token {other}"), TokenRejected)
    accounts.expire(expired)
    if accounts.engines.sqlite_file is None:
        accounts.run(accounts.services.currency.wait_in_force())  # raw SQL waits for no lease
    assert isinstance(api.refusal(f"Token {expired}"), TokenRejected)
    api.verify(one)
    accounts.do(close_organization, OrganizationId(first.organization_id))
    assert isinstance(api.refusal(f"Token {one}"), TokenRejected)


def test_a_blocked_loop_refuses_or_asks_but_never_errs(
    api: Api, accounts: Accounts, person: Person, server: Serving
) -> None:
    token = accounts.log_in(person)
    api.verify(token)
    blocking = threading.Thread(target=api.block, args=(0.8,))
    blocking.start()
    assert exchange(server.port, "POST", "/api/auth/logout/", with_token(token)).status == 204
    with pytest.raises((TokenRejected, Unavailable)):
        api.verify(token)
    blocking.join()
    assert api.verify(accounts.log_in(person)).email == person.username


def test_uses_are_written_at_the_end_whatever_address_was_given(
    database: Database, accounts: Accounts, person: Person
) -> None:
    api = Api(database.url, known_tokens_max=10)
    addresses = {"2001:db8::7": "2001:db8::7", "x" * 46: "", "a\0b": "", "": ""}
    tokens = {accounts.log_in(person): address for address in addresses}
    for token, address in tokens.items():
        api.run(api.verifier.verify(f"Token {token}", address))
    api.close()
    for token, address in tokens.items():
        rows = accounts.sql("SELECT address FROM token_use WHERE token_id = :id", id=token[4:16])
        assert [row[0] for row in rows] == [addresses[address]]


def test_uses_are_written_while_it_runs(api: Api, accounts: Accounts, person: Person) -> None:
    token = accounts.log_in(person)
    api.verify(token)
    deadline = time.monotonic() + 15
    while not accounts.sql("SELECT address FROM token_use WHERE token_id = :id", id=token[4:16]):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_closed_verifier_accepts_nothing(database: Database, accounts: Accounts, person: Person) -> None:
    token = accounts.log_in(person)

    async def use() -> None:
        async with open_verifier(database.url) as verifier:
            await verifier.verify(f"Token {token}")
        with pytest.raises(Unavailable):
            await verifier.verify(f"Token {token}")

    asyncio.run(use())


def test_h7_a_process_forked_after_opening_accepts_nothing(
    api: Api, accounts: Accounts, person: Person
) -> None:
    token = accounts.log_in(person)
    api.verify(token)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            asyncio.new_event_loop().run_until_complete(api.verifier.verify(f"Token {token}"))
            os.write(writing, b"accepted")
        except Unavailable:
            os.write(writing, b"unavailable")
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(reading, 20) == b"unavailable"
    os.close(reading)
    os.close(writing)
    assert api.verify(token)


def test_a_role_that_may_change_nothing_but_the_last_use_is_enough(
    database: Database, accounts: Accounts, person: Person, server: Serving
) -> None:
    if database.kind == "sqlite":
        return  # a file has no roles
    role = f"api_{secrets.token_hex(4)}"
    for statement in VERIFIER_ROLE.replace("api_verifier", role).split(";"):
        if statement.strip():
            accounts.sql(statement)
    token = accounts.log_in(person)
    url = database.url.replace("postgres@", f"{role}@")
    api = Api(url)
    assert api.verify(token).email == person.username
    ended = accounts.log_in(person)
    api.verify(ended)
    assert exchange(server.port, "POST", "/api/auth/logout/", with_token(ended)).status == 204
    assert isinstance(api.refusal(f"Token {ended}"), TokenRejected)
    api.close()
    rows = accounts.sql("SELECT address FROM token_use WHERE token_id = :id", id=token[4:16])
    assert [row[0] for row in rows] == ["192.0.2.7"]

    async def refused(statement: str) -> None:
        connection = await asyncpg.connect(url)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
        await connection.close()

    for statement in (
        'SELECT password_hash FROM "user"',
        "DELETE FROM token",
        "UPDATE token SET expiry = NULL",
        "UPDATE token SET user_id = 1",
        "UPDATE membership SET role = 'owner'",
        "UPDATE change_counter SET lease_milliseconds = 0",
        "DELETE FROM change",
        "DELETE FROM token_use",
    ):
        asyncio.run(refused(statement))
    accounts.sql(f"DROP OWNED BY {role}")
    accounts.sql(f"DROP ROLE {role}")


def test_an_empty_database_is_refused_with_the_command_that_helps(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch(0o600)
    with pytest.raises(CannotStart, match="nightlatch migrate"):
        Api(f"sqlite:///{tmp_path}/empty.db")


def test_a_file_that_is_not_there_is_refused_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="nightlatch migrate"):
        Api(f"sqlite:///{tmp_path}/mistyped.db")
    assert not list(tmp_path.iterdir())


def test_a_url_of_another_kind_is_refused() -> None:
    with pytest.raises(CannotStart, match="database_url"):
        Api("mysql://user:secret@localhost/x")


def test_an_older_schema_is_refused_with_the_command_that_helps(
    database: Database, accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    # There is one revision so far: a verifier that knows a second one stands for the next release.
    monkeypatch.setattr(schema, "_head", lambda: "0099")
    with pytest.raises(CannotStart, match="nightlatch migrate"):
        Api(database.url)


def test_a_schema_that_needs_a_later_version_is_refused(database: Database, accounts: Accounts) -> None:
    accounts.sql("UPDATE installation SET oldest_server = '99.0.0'")
    try:
        with pytest.raises(CannotStart, match=r"nightlatch>=99\.0\.0"):
            Api(database.url)
    finally:
        accounts.sql("UPDATE installation SET oldest_server = '0.1.0'")


@pytest.mark.slow
def test_a_stopped_database_is_unavailable_in_bounded_time_and_found_again() -> None:
    postgresql = PostgresqlServer(embedded_installation())
    try:
        accounts = Accounts(postgresql.create_database())
        person = accounts.add_person()
        token = accounts.log_in(person)
        api = Api(accounts.database_url)
        api.verify(token)
        for mode in ("fast", "immediate"):
            postgresql.stop(mode)
            deadline = time.monotonic() + 5
            while answers_at_once(api, token):  # for one lease more, and no longer
                assert time.monotonic() < deadline
            for _ in range(3):
                begin = time.monotonic()
                refusal = api.refusal(f"Token {token}")
                assert isinstance(refusal, Unavailable)
                assert refusal.retry_after >= 1
                assert time.monotonic() - begin < 6
            assert isinstance(api.refusal("Token nonsense"), TokenRejected)
            postgresql.start()
            deadline = time.monotonic() + 10
            while True:
                try:
                    assert api.verify(token).email == person.username
                    break
                except Unavailable:
                    assert time.monotonic() < deadline
        postgresql.stop("fast")
        with pytest.raises(Unavailable):
            Api(accounts.database_url)
        postgresql.start()
        api.close()
        accounts.close()
    finally:
        postgresql.remove()


POST = {"method": "POST", "target": "/api/v1/acme/uploads/1?x=1"}


def test_a_child_token_is_accepted_for_requests_of_its_scope_only(
    api: Api, accounts: Accounts, person: Person
) -> None:
    parent = accounts.log_in(person)
    limits = {"origin": "https://app.example.com", "networks": (ip_network("192.0.2.0/24"),)}
    child = accounts.issue_child(parent, ["POST"], ["/api/v1/acme/uploads"], **limits)
    here = {**POST, "origin": "https://app.example.com"}
    for _ in range(2):  # asked of the database, then of memory
        identity = api.verify(child, **here)
        assert (identity.email, identity.token_id) == (person.username, child[4:16])
        assert identity.expiry is not None
        header = f"Token {child}"
        refused: list[tuple[tuple[str, ...], dict[str, Any]]] = [
            (("192.0.2.7",), {}),
            (("192.0.2.7",), {**here, "method": None}),
            (("192.0.2.7",), {**here, "target": None}),
            (("192.0.2.7",), {**here, "method": "GET"}),
            (("192.0.2.7",), {**here, "target": "/api/v1/acme/uploads/../x"}),
            (("192.0.2.7",), {**here, "target": "/api/v1/acme/uploads2"}),
            (("192.0.2.7",), {**here, "origin": "https://evil.example"}),
            (("192.0.2.7",), {**here, "origin": None}),
            (("198.51.100.7",), here),
            ((), here),
        ]
        for told, options in refused:
            refusal = api.refusal(header, *told, **options)
            assert isinstance(refusal, OutsideScope), (told, options)
            assert refusal.public == "You do not have permission to perform this action."
            assert child[17:] not in f"{refusal!r} {refusal.detail}"
        wrong = api.refusal(header, "192.0.2.7", "zz", **here)
        assert isinstance(wrong, WrongOrganization)
        assert api.verify(child, organization_id=person.organization_id, **here) == identity
    assert api.verify(parent).token_id == parent[4:16]  # a token needs no scope


@pytest.mark.parametrize("lease", [250, 0])
def test_the_use_of_a_child_is_its_parents_and_one_that_is_refused_is_nobodys(
    lease: int, database: Database, accounts: Accounts, person: Person
) -> None:
    is_sqlite = accounts.engines.sqlite_file is not None
    if is_sqlite and not lease:
        return  # there is no lease
    parents = [accounts.log_in(person) for _ in range(2)]
    children = [accounts.issue_child(parent, ["POST"], ["/"]) for parent in parents]
    if not is_sqlite:
        accounts.do(change_lease, lease)
    own = Api(database.url)
    try:
        for _ in range(3):
            for child in children:
                assert isinstance(own.refusal(f"Token {child}", "198.51.100.1"), OutsideScope)
        assert own.verify(children[1], **POST).email == person.username
        assert isinstance(own.refusal(f"Token {children[1]}", "198.51.100.1"), OutsideScope)
    finally:
        own.close()  # and everything is flushed
        if not is_sqlite:
            accounts.do(change_lease, 250)
    used = [
        accounts.sql("SELECT address FROM token_use WHERE token_id = :id", id=parent[4:16])
        for parent in parents
    ]
    assert used == [[], [("192.0.2.7",)]]


def test_a_child_token_is_refused_as_soon_as_its_parent_has_logged_out(
    api: Api, accounts: Accounts, person: Person
) -> None:
    for _ in range(5):
        parent = accounts.log_in(person)
        child = accounts.issue_child(parent, ["POST"], ["/"])
        assert api.verify(child, **POST).token_id == child[4:16]
        parsed = parse_token(parent.encode())
        assert parsed is not None
        accounts.do(log_out, parsed, Origin())
        assert isinstance(api.refusal(f"Token {child}", "192.0.2.7", **POST), TokenRejected)
