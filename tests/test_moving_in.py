"""Moving in from django-rest-knox and Django REST framework: what worked there works here, nothing else."""

import json
import os
import secrets
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from nightlatch.cli.moving import _document
from nightlatch.hot.header import HeaderFault, TokenHeader
from nightlatch.model.errors import CredentialsRejected, InvalidValue, Refused, TokenLimitReached
from nightlatch.model.moving import Reason, Report, Service
from nightlatch.model.names import OrganizationId
from nightlatch.usecases.change_lease import change_lease
from nightlatch.usecases.disable_user import disable_user
from nightlatch.usecases.move_in import Move, move_in
from nightlatch.usecases.plan_import import TokenForm
from nightlatch.usecases.read_source import SourceOptions
from nightlatch.usecases.remove_member import remove_member
from nightlatch.usecases.set_password import set_password
from tests.accounts import PASSWORD, Accounts, Person
from tests.commands import run_command
from tests.conftest import DATABASES, Database, need, new_database
from tests.knox.installation import MARIADBD, Installation, MariadbServer, install
from tests.knox.project import ALGORITHMS
from tests.knox.project import PASSWORD as THERE
from tests.memory import Memory
from tests.serving import Serving
from tests.sockets import exchange, with_token
from tests.test_cli import documented, keys

pytestmark = pytest.mark.slow
QUERY = "SELECT user_id, organization_id, organization_name, role FROM streams_member"
SOURCES = ["4.2 on sqlite", "5.0 on postgresql-18", "5.1 on mysql", "drf on sqlite"]
ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
ON_EACH_STORE = pytest.mark.parametrize("database", DATABASES, indirect=True)
SCALE = int(os.environ.get("TEST_MOVING_SCALE", "1"))
"""10: a thousand organizations with 20,000 tokens, over all the versions of knox."""


@pytest.fixture(scope="session")
def mysql() -> Iterator[MariadbServer]:
    need(MARIADBD.exists(), "Debian's mariadb-server")
    server = MariadbServer()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def installations(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Installation]:
    """Services by what they run on, each made once."""
    made: dict[str, Installation] = {}

    def get(what: str) -> Installation:
        if what not in made:
            version, kind = what.split(" on ")
            folder = tmp_path_factory.mktemp("django")
            if kind == "mysql":
                url = request.getfixturevalue("mysql").create_database()
            elif kind == "sqlite":
                url = f"sqlite:///{folder}/django.db"
            else:
                url = new_database(kind, request, folder).url
            made[what] = install(version, url, folder, organizations=34 * SCALE, slow_hashes=True)
        return made[what]

    return get


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """A service that is never imported from: to be copied, and broken."""
    folder = tmp_path_factory.mktemp("template")
    return install("5.1", f"sqlite:///{folder}/django.db", folder, tokens=5)


@pytest.fixture
def small(tmp_path: Path) -> Installation:
    """A service of this test's own."""
    return install("5.1", f"sqlite:///{tmp_path}/django.db", tmp_path, tokens=5)


class Stopped(Exception):
    """As if the process had been killed between two transactions."""


def a_move(source: Installation, **changes: Any) -> Move:
    options = SourceOptions(memberships_query=QUERY)
    form = TokenForm()
    move = Move(Service(source.service), source.url, options, form, None, None, follow=False, dry_run=False)
    return replace(move, **changes)


def silent(what: str, done: int, total: int) -> None:
    """Progress that nobody looks at."""


def do_move(accounts: Accounts, source: Installation, **changes: Any) -> Report:
    return accounts.do(move_in, a_move(source, **changes), silent)


@pytest.fixture
def memory(accounts: Accounts) -> Iterator[Memory]:
    """A process that was there before anything was imported."""
    made = Memory(accounts)
    yield made
    made.close()


def is_live(source: Installation, token: dict[str, Any]) -> bool:
    """Whether the old service accepts it, and somebody can be found whose it is."""
    unfit = (source.made["special"]["inactive"], source.made["special"]["nameless"])
    return not token["expired"] and token["user"] not in unfit


def organization_of(accounts: Accounts, email: str) -> str:
    rows = accounts.sql(
        'SELECT organization_id FROM membership JOIN "user" ON "user".id = user_id WHERE email = :email',
        email=email,
    )
    return str(rows[0][0])


def state(accounts: Accounts) -> list[Any]:
    """Everything that an import writes."""
    return [
        sorted(map(tuple, accounts.sql(f'SELECT {columns} FROM "{table}"')), key=repr)
        for table, columns in {
            "organization": "id, name, token_limit",
            "user": "id, email, password_hash, password_version, disabled",
            "membership": "organization_id, user_id, role",
            "token": "id, expiry",
            "imported": "source",
            "imported_kind": "algorithm, prefix, characters",
            "event": "id",
        }.items()
    ]


@pytest.mark.parametrize("what", SOURCES)
def test_every_live_token_is_accepted_and_no_other(
    accounts: Accounts, memory: Memory, installations: Callable[[str], Installation], what: str
) -> None:
    source = installations(what)
    live = [token["token"] for token in source.tokens if is_live(source, token)]
    other = [token["token"] for token in source.tokens if not is_live(source, token)]
    assert live
    assert other
    # Asked before: that there is no such token is remembered, and must be forgotten.
    assert not any(memory.accepts(token) for token in live[:50])
    planned = do_move(accounts, source, dry_run=True)
    assert not memory.accepts(live[0])
    report = do_move(accounts, source)
    assert report.tokens.new == planned.tokens.new == len(live)
    assert (report.organizations.new, report.users.new) == (planned.organizations.new, planned.users.new)

    async def accepted(tokens: list[str]) -> list[bool]:
        return [await memory.verify(token) for token in tokens]

    for start in range(0, len(live), 1000):
        assert all(accounts.run(accepted(live[start : start + 1000])))
    assert not any(accounts.run(accepted(other)))
    # One character changed is another token.
    changed = [token[:-1] + ("0" if token[-1] != "0" else "1") for token in live[:50]]
    assert not any(accounts.run(accepted(changed)))
    before = state(accounts)
    assert do_move(accounts, source).tokens.new == 0
    assert state(accounts) == before


@ON_SQLITE
@pytest.mark.parametrize("algorithm", [*ALGORITHMS, "none", "inactive"])
def test_passwords_work_as_they_were_and_are_hashed_anew(
    accounts: Accounts, installations: Callable[[str], Installation], algorithm: str
) -> None:
    source = installations("5.1 on mysql") if MARIADBD.exists() else installations("4.2 on sqlite")
    do_move(accounts, source)
    username = source.made["special"][algorithm]
    person = Person(organization_of(accounts, username), username, THERE)
    limit = "UPDATE organization SET token_limit = 1000 WHERE id = :id"
    accounts.sql(limit, id=person.organization_id)
    if algorithm in ("md5", "none", "inactive"):
        with pytest.raises(CredentialsRejected):
            accounts.log_in(person)
        return
    with pytest.raises(CredentialsRejected):
        accounts.log_in(replace(person, password=THERE + "x"))
    assert accounts.log_in(person)
    stored = 'SELECT password_hash FROM "user" WHERE email = :email'
    assert accounts.sql(stored, email=username)[0][0].startswith("$argon2id$")
    assert accounts.log_in(person)
    with pytest.raises(CredentialsRejected):
        accounts.log_in(replace(person, organization_id="elsewhere"))


@ON_EACH_STORE
def test_a_dry_run_tells_everything_and_changes_nothing(accounts: Accounts, small: Installation) -> None:
    before = state(accounts)
    planned = _document(do_move(accounts, small, dry_run=True))
    assert state(accounts) == before
    done = _document(do_move(accounts, small))
    assert done == planned | {"dry_run": False}
    reasons = {remark["reason"]: remark["count"] for remark in done["remarks"]}
    assert reasons["user_without_email"] == 1
    assert reasons["login_by_email"] == 1
    assert reasons["password_unusable"] == 1
    assert reasons["password_algorithm"] == 1  # MD5
    assert reasons["user_inactive"] == 1
    assert reasons["token_of_inactive_user"] == 5


@ON_EACH_STORE
def test_an_import_that_was_stopped_goes_on_where_it_was(
    accounts: Accounts, small: Installation, monkeypatch: pytest.MonkeyPatch, memory: Memory
) -> None:
    monkeypatch.setattr("nightlatch.usecases.import_tokens.BATCH", 7)

    def stop(what: str, done: int, total: int) -> None:
        if what == "tokens" and done > 20:
            raise Stopped

    with pytest.raises(Stopped):
        accounts.do(move_in, a_move(small), stop)
    live = [token["token"] for token in small.tokens if is_live(small, token)]
    assert 0 < sum(memory.accepts(token) for token in live) < len(live)
    report = do_move(accounts, small)
    assert 0 < report.tokens.new < len(live)
    assert all(memory.accepts(token) for token in live)


@ON_EACH_STORE
def test_what_has_ended_here_is_not_brought_back(
    accounts: Accounts, small: Installation, memory: Memory
) -> None:
    do_move(accounts, small)
    users = small.made["users"][:4]
    tokens = {user: [token["token"] for token in small.tokens if token["user"] == user] for user in users}
    organization_id = OrganizationId(organization_of(accounts, users[1]))
    accounts.do(remove_member, organization_id, users[1])
    accounts.do(set_password, users[2], PASSWORD)
    accounts.sql("DELETE FROM token WHERE organization_id = :id", id=organization_of(accounts, users[3]))
    report = do_move(accounts, small)
    assert report.tokens.new == report.memberships.new == 0
    assert report.remarks.counts[Reason.ENDED_HERE] > 10
    for user in users[1:]:
        assert not any(memory.accepts(token) for token in tokens[user])
    person = Person(organization_of(accounts, users[2]), users[2], THERE)
    with pytest.raises(CredentialsRejected):
        accounts.log_in(person)


@ON_EACH_STORE
def test_following_does_here_what_was_done_there(
    database: Database, request: pytest.FixtureRequest, tmp_path: Path, small: Installation
) -> None:
    (tmp_path / "own").mkdir()
    accounts = Accounts(new_database(database.kind, request, tmp_path / "own").url)
    memory = Memory(accounts)
    try:
        _follow(accounts, memory, small)
    finally:
        memory.close()
        accounts.close()


def _follow(accounts: Accounts, memory: Memory, small: Installation) -> None:
    do_move(accounts, small)
    users = small.made["users"]
    of = {user: [token["token"] for token in small.tokens if token["user"] == user] for user in users}
    small.do(
        f"""
from django.contrib.auth.models import User
from knox.models import AuthToken
from django.utils import timezone
from datetime import timedelta
AuthToken.objects.filter(user__username={users[0]!r}).delete()
User.objects.filter(username={users[1]!r}).update(is_active=False)
AuthToken.objects.filter(user__username={users[2]!r}).update(expiry=timezone.now() - timedelta(hours=1))
user = User.objects.get(username={users[3]!r})
user.set_password("a new one")
user.save()
AuthToken.objects.create(user=user)
"""
    )
    there = do_move(accounts, small)
    assert there.remarks.counts[Reason.ENDED_THERE] == 10
    assert there.tokens.new == 1
    assert memory.accepts(of[users[0]][0])  # only --follow ends anything
    planned = do_move(accounts, small, follow=True, dry_run=True)
    done = do_move(accounts, small, follow=True)
    assert planned.followed == done.followed
    assert dict(done.followed) == {
        "tokens_ended": 10,
        "expiries_moved": 0,
        "users_disabled": 1,
        "passwords_changed": 1,
    }
    for user in users[:3]:
        assert not any(memory.accepts(token) for token in of[user])
    assert all(memory.accepts(token) for token in of[users[3]])
    person = Person(organization_of(accounts, users[3]), users[3], "a new one")
    assert accounts.log_in(person)
    assert sum(do_move(accounts, small, follow=True).followed.values()) == 0


@ON_EACH_STORE
def test_an_import_may_exceed_the_limit_and_then_nobody_gets_another(
    accounts: Accounts, tmp_path: Path, memory: Memory
) -> None:
    source = install("5.1", f"sqlite:///{tmp_path}/django.db", tmp_path, organizations=1, users=3)
    report = do_move(accounts, source)
    (over,) = report.over_limit
    assert (over.limit, over.live) == (20, report.tokens.new)
    assert over.live > 20
    assert accounts.sql("SELECT token_limit FROM organization WHERE id = :id", id=over.organization_id) == [
        (20,)
    ]
    person = Person(over.organization_id, source.made["users"][0], THERE)
    with pytest.raises(TokenLimitReached):
        accounts.log_in(person)


@ON_EACH_STORE
def test_text_of_no_imported_kind_is_refused_without_being_looked_up(
    database: Database, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    accounts = Accounts(new_database(database.kind, request, tmp_path).url)
    memory = Memory(accounts)
    try:
        assert not memory.accepts("0" * 64)
        for text in ("0" * 64, "0" * 40, secrets.token_hex(32), "fed_" + secrets.token_hex(32)):
            assert memory.find_nowait(text) is HeaderFault.INVALID
        source = install("drf", f"sqlite:///{tmp_path}/django.db", tmp_path)
        do_move(accounts, source)
        memory.accepts("x")
        live = next(token["token"] for token in source.tokens if is_live(source, token))
        assert memory.accepts(live)
        assert not isinstance(memory.find_nowait(live), HeaderFault | TokenHeader)  # known from memory
        assert isinstance(memory.find_nowait(secrets.token_hex(20)), TokenHeader)
        assert memory.find_nowait(secrets.token_hex(32)) is HeaderFault.INVALID
        assert memory.find_nowait(live.upper()) is HeaderFault.INVALID
    finally:
        memory.close()
        accounts.close()


@ON_EACH_STORE
def test_a_process_without_a_lease_does_not_say_what_was_imported(
    accounts: Accounts, small: Installation
) -> None:
    # A process that has not read the feed cannot know that nothing was imported: it says neither.
    memory = Memory(accounts, keeping=False)
    try:
        assert isinstance(memory.find_nowait("0" * 64), TokenHeader)
    finally:
        memory.close()


@ON_SQLITE
def test_tokens_with_a_prefix_need_it_to_be_named(accounts: Accounts, tmp_path: Path, memory: Memory) -> None:
    source = install("5.1", f"sqlite:///{tmp_path}/django.db", tmp_path, prefix="fed_", tokens=2)
    without = do_move(accounts, source)
    assert without.tokens.new == 0
    assert without.remarks.counts[Reason.TOKEN_PREFIX] > 0
    do_move(accounts, source, form=TokenForm(("fed_", "")))
    assert all(memory.accepts(token["token"]) for token in source.tokens if is_live(source, token))
    with pytest.raises(InvalidValue, match="printable"):
        do_move(accounts, source, form=TokenForm(("a b",)))


@ON_SQLITE
def test_an_export_says_the_same_as_the_database(
    accounts: Accounts, small: Installation, memory: Memory, tmp_path: Path
) -> None:
    mapping = tmp_path / "members.csv"
    rows = sqlite3.connect(small.url.removeprefix("sqlite:///")).execute(QUERY).fetchall()
    lines = ["user_id,organization_id,organization_name,role", *(",".join(map(str, row)) for row in rows)]
    mapping.write_text("\n".join(lines) + "\n")
    options = SourceOptions()
    exported = do_move(
        accounts, small, location=str(small.export), mapping=mapping, options=options, dry_run=True
    )
    assert _document(exported) == _document(do_move(accounts, small, dry_run=True))
    do_move(accounts, small, location=str(small.export), mapping=mapping, options=options)
    assert all(memory.accepts(token["token"]) for token in small.tokens if is_live(small, token))


@ON_SQLITE
@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("ALTER TABLE knox_authtoken ADD COLUMN salt TEXT DEFAULT 'abcd'", Reason.TOKEN_SALTED),
        ("UPDATE knox_authtoken SET digest = substr(digest, 65)", Reason.TOKEN_OTHER_ALGORITHM),
        ("UPDATE knox_authtoken SET user_id = 0", Reason.TOKEN_OF_NO_USER),
        ("DELETE FROM streams_member WHERE user_id > 2", Reason.TOKEN_WITHOUT_ORGANIZATION),
        (
            "INSERT INTO streams_member SELECT user_id, 'elsewhere', '', 'member' FROM streams_member",
            Reason.TOKEN_AMBIGUOUS_ORGANIZATION,
        ),
        ("UPDATE streams_member SET organization_id = 'A-1'", Reason.PLACEMENT_ORGANIZATION_ID),
        ("UPDATE streams_member SET role = 'king'", Reason.PLACEMENT_ROLE),
        ("INSERT INTO streams_member VALUES (99999, 'a', '', 'owner')", Reason.PLACEMENT_UNKNOWN_USER),
        ("UPDATE streams_member SET role = 'member'", Reason.ORGANIZATION_WITHOUT_OWNER),
        ("UPDATE auth_user SET password = 'pbkdf2_sha256$999999999$a$YQ=='", Reason.PASSWORD_ALGORITHM),
        (
            "UPDATE auth_user SET username = upper((SELECT min(username) FROM auth_user)) WHERE id = 2",
            Reason.USER_DUPLICATE,
        ),
    ],
)
def test_what_cannot_be_taken_over_is_told(
    database: Database,
    accounts: Accounts,
    template: Installation,
    tmp_path: Path,
    statement: str,
    reason: Reason,
) -> None:
    file = tmp_path / "django.db"
    shutil.copy(template.url.removeprefix("sqlite:///"), file)
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute(statement)
    before = do_move(accounts, template, dry_run=True)
    changed = do_move(accounts, template, location=f"sqlite:///{file}", dry_run=True)
    assert changed.remarks.counts[reason] > before.remarks.counts[reason]


@ON_SQLITE
def test_a_token_of_several_organizations_goes_where_it_is_marked(
    accounts: Accounts, small: Installation, memory: Memory, tmp_path: Path
) -> None:
    user = small.made["users"][0]
    here, there = (f"marked{secrets.token_hex(3)}" for _ in range(2))
    mapping = tmp_path / "members.jsonl"
    lines = [{"username": user, "organization_id": here}]
    lines += [{"username": user, "organization_id": there, "role": "owner", "tokens": "yes"}]
    mapping.write_text("".join(json.dumps(line) + "\n" for line in lines))
    report = do_move(accounts, small, mapping=mapping, options=SourceOptions())
    assert report.tokens.new == 5
    token = next(token["token"] for token in small.tokens if token["user"] == user)
    assert memory.accepts(token)
    assert accounts.live_tokens(there) == 5
    assert accounts.live_tokens(here) == 0


@ON_SQLITE
def test_without_a_mapping_nothing_is_imported(accounts: Accounts, small: Installation) -> None:
    with pytest.raises(Refused, match="--mapping"):
        do_move(accounts, small, options=SourceOptions())


@ON_EACH_STORE
def test_logout_ends_an_imported_token_on_every_process(
    accounts: Accounts, server: Serving, small: Installation
) -> None:
    do_move(accounts, small)
    tokens = [token["token"] for token in small.tokens if is_live(small, token)]

    def statuses(token: str) -> set[int]:
        path = "/api/auth/verify/"
        return {exchange(server.port, "GET", path, headers=with_token(token)).status for _ in range(12)}

    assert statuses(tokens[0]) == statuses(tokens[1]) == {200}
    logout = "/api/auth/logout/"
    assert exchange(server.port, "POST", logout, headers=with_token(tokens[0])).status == 204
    assert statuses(tokens[0]) == {401}
    assert exchange(server.port, "POST", logout, headers=with_token(tokens[0])).status == 401
    assert exchange(server.port, "POST", logout, headers=with_token("0" * 64)).status == 401
    assert exchange(server.port, "POST", logout, headers=with_token("0" * 41)).status == 401
    assert statuses(tokens[1]) == {200}
    assert exchange(server.port, "POST", "/api/auth/logoutall/", headers=with_token(tokens[1])).status == 204
    assert statuses(tokens[1]) == {401}
    accounts.do(disable_user, small.made["users"][1])
    ended = [token["token"] for token in small.tokens if token["user"] == small.made["users"][1]]
    assert all(statuses(token) == {401} for token in ended[:2])
    assert do_move(accounts, small).tokens.new == 0


@ON_EACH_STORE
def test_imported_tokens_work_in_strict_mode(
    accounts: Accounts, database: Database, small: Installation, memory: Memory
) -> None:
    if database.kind == "sqlite":
        return  # there is no lease
    accounts.do(change_lease, 0)
    try:
        live = [token["token"] for token in small.tokens if is_live(small, token)]
        assert not memory.accepts(live[0])
        do_move(accounts, small)
        assert memory.accepts(live[0])
        assert not memory.accepts("0" * 64)
    finally:
        accounts.do(change_lease, 250)


# --- the command line -----------------------------------------------------------------------------


@ON_SQLITE
def test_the_command_reports_and_leaks_no_token(
    database: Database, accounts: Accounts, small: Installation
) -> None:
    arguments = ("import", "knox", small.url, "--memberships-query", QUERY)
    for more in ((), ("--json",)):
        done = run_command(database.url, *arguments, "--dry-run", *more)
        assert done.code == 0, done.error
        written = done.out + done.error
        assert not any(token["token"][:20] in written for token in small.tokens)
        assert "pbkdf2" not in written
    assert done.document["tokens"]["new"] > 0
    assert keys(done.document) == keys(documented()["import knox"]) == keys(documented()["import drf"])
    text = run_command(database.url, *arguments).out
    assert "Imported." in text
    assert "AUTO_REFRESH" in text


class _Old(BaseHTTPRequestHandler):
    """A service that accepts what the test says."""

    accepted: ClassVar[set[str]] = set()

    def do_GET(self) -> None:
        self.send_response(200 if self.headers["Authorization"] in self.accepted else 401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Quietly."""


@ON_SQLITE
def test_shadow_tells_agreement_from_disagreement(
    database: Database, accounts: Accounts, server: Serving, small: Installation, tmp_path: Path
) -> None:
    do_move(accounts, small)
    live = [f"Token {token['token']}" for token in small.tokens if is_live(small, token)]
    _Old.accepted = {*live[:3], "Token " + "1" * 64}
    old = ThreadingHTTPServer(("127.0.0.1", 0), _Old)
    threading.Thread(target=old.serve_forever, daemon=True).start()
    stream = tmp_path / "stream"
    places = (f"http://127.0.0.1:{old.server_port}/me/", f"http://127.0.0.1:{server.port}")
    try:
        stream.write_text("\n".join([*live[:3], "Token x", json.dumps({"authorization": live[0]}), ""]))
        agreed = run_command(database.url, "shadow", *places, "--file", str(stream), "--json")
        assert agreed.code == 0, agreed.error
        assert keys(agreed.document) == keys(documented()["shadow"])
        assert agreed.document["asked"] == agreed.document["agree"] == 5
        stream.write_text("\n".join([live[0], live[4], "", "Token " + "1" * 64]))
        differing = run_command(database.url, "shadow", *places, "--file", str(stream))
        assert differing.code == 1
        assert "1 refused by the old service, accepted by Nightlatch (lines 2)" in differing.out
        assert "1 accepted by the old service, refused by Nightlatch (lines 4)" in differing.out
        assert not any(token[6:20] in differing.out + differing.error for token in live)
        gone = run_command(database.url, "shadow", places[0], "http://127.0.0.1:9", "--file", str(stream))
        assert gone.code == 1
        assert "3 not answered by Nightlatch" in gone.out
    finally:
        old.shutdown()
        old.server_close()


@ON_EACH_STORE
def test_a_token_that_was_known_to_be_absent_is_accepted_when_it_has_come(
    accounts: Accounts, small: Installation, memory: Memory, tmp_path: Path
) -> None:
    do_move(accounts, small)
    user, file = small.made["users"][0], tmp_path / "new"
    small.do(
        "from knox.models import AuthToken\nfrom django.contrib.auth.models import User\n"
        f"token = AuthToken.objects.create(user=User.objects.get(username={user!r}))[1]\n"
        f"open({str(file)!r}, 'w').write(token)"
    )
    # Of a kind that was imported before: this is read, and remembered.
    assert not memory.accepts(file.read_text())
    assert do_move(accounts, small).tokens.new == 1
    assert memory.accepts(file.read_text())
