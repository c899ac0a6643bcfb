"""Backups are whole, and a restored one brings nothing back to life."""

import asyncio
import json
import os
import random
import signal
import sqlite3
import subprocess
import threading
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

from nightlatch.model.origin import Origin
from nightlatch.model.token import PlainToken
from nightlatch.store.sqlite_copy import taking_place
from nightlatch.usecases.disable_user import disable_user
from nightlatch.usecases.log_out import log_out
from nightlatch.verifier import open_verifier
from tests.accounts import Accounts, Person
from tests.commands import Outcome, run_command, start_command
from tests.conftest import RELEASES, Database, need
from tests.postgresql import PostgresqlServer
from tests.serving import Serving
from tests.sockets import exchange, post_json, with_token

pytestmark = pytest.mark.slow


class Installation:
    """An SQLite database in a folder of its own, and commands on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "nightlatch.db"
        self.url = f"sqlite:///{self.file}"
        self.log = folder / "log"
        accounts = Accounts(self.url)
        self.person = accounts.add_person()
        accounts.close()

    def run(self, *arguments: str) -> Outcome:
        return run_command(self.url, *arguments, folder=self.folder)

    def log_in(self) -> str:
        """A token, made while nothing else uses the database."""
        accounts = Accounts(self.url)
        try:
            return accounts.log_in(self.person)
        finally:
            accounts.close()

    def back_up(self, name: str = "backup.db") -> Path:
        made = self.run("backup", name)
        assert made.code == 0, made
        return self.folder / name

    def kept(self) -> list[Path]:
        return list(self.folder.glob("nightlatch.db.before-restore-*"))


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation(tmp_path)


def status(port: int, token: str) -> int:
    return exchange(port, "GET", "/api/auth/verify/", with_token(token)).status


def count(file: Path, table: str) -> int:
    with closing(sqlite3.connect(file)) as connection:
        number: int = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        return number


# Backing up


def test_a_backup_made_while_the_database_is_written_is_of_one_moment(installation: Installation) -> None:
    accounts = Accounts(installation.url)
    people = [accounts.add_person(token_limit=10_000) for _ in range(4)]
    stop = threading.Event()
    logged_in = 0

    def write() -> None:
        nonlocal logged_in
        while not stop.is_set():
            tokens = [accounts.log_in(person) for person in people]
            accounts.do(log_out, PlainToken(tokens[0]), Origin())
            logged_in += len(tokens)

    with closing(sqlite3.connect(installation.file, isolation_level=None)) as filling:
        # Large enough that the copy is made in many steps, with commits between them.
        filling.execute("CREATE TABLE ballast AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 "
                        "FROM n WHERE i < 20000) SELECT i, randomblob(2000) AS b FROM n")  # fmt: skip
    writer = threading.Thread(target=write)
    writer.start()
    try:
        before = logged_in
        made = installation.run("backup", "backup.db", "--json").document
        assert logged_in > before, "nothing was written meanwhile"
    finally:
        stop.set()
        writer.join()
        accounts.close()
    with closing(sqlite3.connect(made["file"])) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert copy.execute("PRAGMA foreign_key_check").fetchall() == []
        assert copy.execute("SELECT count(*) FROM ballast").fetchone() == (20000,)
        (number, changes) = copy.execute(
            "SELECT (SELECT number FROM change_counter), (SELECT max(number) FROM change)"
        ).fetchone()
        assert number == changes
    assert made["size_bytes"] == os.stat(made["file"]).st_size
    assert made["sha256"] in subprocess.run(
        ["sha256sum", made["file"]], capture_output=True, text=True, check=True
    ).stdout  # fmt: skip


def test_a_backup_is_one_file_for_its_owner_only(installation: Installation) -> None:
    before = os.umask(0)
    try:
        file = installation.back_up()
    finally:
        os.umask(before)
    assert file.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in installation.folder.glob("backup*")) == ["backup.db"]


def test_a_backup_never_overwrites_a_file(installation: Installation) -> None:
    file = installation.folder / "precious"
    file.write_text("precious")
    refused = installation.run("backup", str(file), "--json")
    assert (refused.code, refused.document["error"]) == (1, "refused")
    assert file.read_text() == "precious"


def test_a_damaged_database_makes_no_backup(installation: Installation) -> None:
    with installation.file.open("r+b") as file:
        file.seek(4096 * 5)
        file.write(os.urandom(4096 * 3))
    refused = installation.run("backup", "backup.db")
    assert refused.code == 1
    assert "damaged" in refused.error or "malformed" in refused.error
    assert not list(installation.folder.glob("backup*"))


def test_a_full_disk_leaves_no_backup_and_the_database_as_it_was(installation: Installation) -> None:
    small = installation.folder / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", small], capture_output=True)
    need(mounted.returncode == 0, "the right to mount a small disk")
    try:
        refused = installation.run("backup", str(small / "backup.db"))
        assert refused.code == 1
        assert "full" in refused.error
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", small], check=True)
    assert installation.back_up().exists()


# Restoring


def test_a_restored_backup_brings_no_token_back(installation: Installation) -> None:
    revoked, live = installation.log_in(), installation.log_in()
    backup = installation.back_up()
    server = Serving(installation.url, installation.log, workers=2).wait_ready()
    assert exchange(server.port, "POST", "/api/auth/logout/", with_token(revoked)).status == 204
    assert status(server.port, revoked) == 401
    assert server.stop() == 0
    restored = installation.run("restore", str(backup), "--yes", "--json")
    assert (restored.code, restored.document["ended_token_count"]) == (0, 2), restored
    server = Serving(installation.url, installation.log, workers=2).wait_ready()
    try:
        for _ in range(10):
            assert status(server.port, revoked) == 401
            assert status(server.port, live) == 401
        login = post_json(server.port, "/api/auth/login/", installation.person.login_body)
        assert status(server.port, login.json["token"]) == 200
    finally:
        assert server.stop() == 0


def test_a_restore_begins_a_new_epoch_and_ends_links(installation: Installation) -> None:
    with closing(sqlite3.connect(installation.file)) as connection:
        connection.execute("INSERT INTO password_link VALUES (x'00', 1, 0, 9000000000000000)")
        connection.commit()
        before = connection.execute("SELECT epoch FROM change_counter").fetchone()
    restored = installation.run("restore", str(installation.back_up()), "--yes", "--json").document
    assert restored["ended_link_count"] == 1
    assert count(installation.file, "password_link") == 0
    with closing(sqlite3.connect(installation.file)) as connection:
        assert connection.execute("SELECT epoch FROM change_counter").fetchone() != before


def test_a_restore_keeps_the_database_before(installation: Installation) -> None:
    backup = installation.back_up()
    installation.log_in()
    restored = installation.run("restore", str(backup), "--yes", "--json").document
    (kept,) = installation.kept()
    assert restored["kept"] == str(kept)
    assert count(kept, "token") == 1
    assert count(installation.file, "token") == 0
    assert {path.stat().st_mode & 0o777 for path in installation.folder.glob("*.db*")} == {0o600}


def test_two_restores_within_a_second_keep_both_databases(installation: Installation) -> None:
    backup = installation.back_up()
    for _ in range(2):
        with taking_place(installation.file, backup, lambda _: None):
            pass
    assert len(installation.kept()) == 2


def test_a_damaged_database_can_be_replaced(installation: Installation) -> None:
    backup = installation.back_up()
    installation.file.write_bytes(b"no database at all" * 1000)
    Path(f"{installation.file}-wal").write_bytes(b"nor a log")
    restored = installation.run("restore", str(backup), "--yes")
    assert restored.code == 0, restored
    kept = min(installation.kept())
    assert kept.read_bytes().startswith(b"no database")
    assert not Path(f"{installation.file}-wal").exists()
    assert count(installation.file, '"user"') == 1


@pytest.mark.parametrize("ending", ["-wal", "-journal"])
def test_the_log_of_a_database_that_was_moved_away_is_not_read_into_the_restored_one(
    installation: Installation, ending: str
) -> None:
    """As after a crash, when what was not written back yet stays behind."""
    backup = installation.back_up()
    accounts = Accounts(installation.url)
    try:
        token = accounts.log_in(installation.person)
        left_behind = Path(f"{installation.file}-wal").read_bytes()
    finally:
        accounts.close()
    installation.file.rename(installation.folder / "broken.db")
    log = Path(f"{installation.file}{ending}")
    log.write_bytes(left_behind)
    assert installation.run("restore", str(backup), "--yes").code == 0
    assert not log.exists()
    assert [kept.read_bytes() for kept in installation.kept()] == [left_behind]
    assert count(installation.file, "token") == 0
    server = Serving(installation.url, installation.log).wait_ready()
    try:
        assert status(server.port, token) == 401
    finally:
        assert server.stop() == 0


def test_a_database_that_is_gone_can_be_restored(installation: Installation) -> None:
    backup = installation.back_up()
    for file in installation.folder.glob("nightlatch.db*"):
        file.unlink()
    restored = installation.run("restore", str(backup), "--yes", "--json").document
    assert restored["kept"] is None
    assert count(installation.file, '"user"') == 1


@pytest.mark.parametrize("what", ["nothing", "text", "another", "damaged"])
def test_what_is_no_backup_is_refused_and_changes_nothing(installation: Installation, what: str) -> None:
    installation.log_in()
    file = installation.folder / "other.db"
    if what == "text":
        file.write_text("no database")
    elif what == "another":
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("CREATE TABLE t (x)")
    elif what == "damaged":
        installation.back_up("other.db")
        with file.open("r+b") as opened:
            opened.seek(4096 * 5)
            opened.write(os.urandom(4096 * 3))
    refused = installation.run("restore", str(file), "--yes")
    assert refused.code == 1
    assert "Nothing was changed" in refused.error
    assert (count(installation.file, "token"), installation.kept()) == (1, [])
    assert not list(installation.folder.glob("*.restoring*"))


def refused_as_in_use(installation: Installation, backup: Path) -> bool:
    outcome = installation.run("restore", str(backup), "--yes")
    assert installation.kept() == []
    return outcome.code == 1 and "is in use" in outcome.error


def test_nothing_is_restored_under_a_server_that_has_answered_nothing_yet(installation: Installation) -> None:
    backup = installation.back_up()
    server = Serving(installation.url, installation.log)
    try:
        while not server.worker_pids() or "-in-use" not in opened_by(server.worker_pids()[0]):
            time.sleep(0.02)
        assert refused_as_in_use(installation, backup)
        worker = server.worker_pids()[0]
        os.kill(worker, signal.SIGSTOP)  # stopped it is in use as well
        try:
            assert refused_as_in_use(installation, backup)
        finally:
            os.kill(worker, signal.SIGCONT)
    finally:
        server.stop()
    assert installation.run("restore", str(backup), "--yes").code == 0


def opened_by(pid: int) -> str:
    """The files that a process has open."""
    names = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            names.append(os.readlink(descriptor))
    return "\n".join(names)


def test_nothing_is_restored_under_a_verifier_or_a_shell(installation: Installation) -> None:
    backup = installation.back_up()

    async def verifier() -> None:
        async with open_verifier(installation.url):
            assert await asyncio.to_thread(refused_as_in_use, installation, backup)

    asyncio.run(verifier())
    with closing(sqlite3.connect(installation.file)) as shell:
        shell.execute("SELECT count(*) FROM token").fetchone()
        assert refused_as_in_use(installation, backup)
    assert installation.run("restore", str(backup), "--yes").code == 0


def test_a_killed_restore_leaves_one_of_the_two_databases(installation: Installation) -> None:
    token = installation.log_in()
    backup = installation.back_up()
    finished = 0
    for _ in range(12):
        process = start_command(installation.url, "restore", str(backup), "--yes")
        # The interpreter takes half a second to start; what is killed is spread over what comes then.
        while not installation.file.with_name("nightlatch.db.restoring").exists() and process.poll() is None:
            time.sleep(0.001)
        time.sleep(random.uniform(0, 0.4))
        process.kill()
        process.communicate()
        with closing(sqlite3.connect(installation.file)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            ids = [row[0] for row in connection.execute("SELECT id FROM token")]
        assert ids in ([token[4:16]], [])
        finished += ids == []
    assert installation.run("restore", str(backup), "--yes").code == 0
    assert count(installation.file, "token") == 0


# Afterwards, on every database


def test_what_was_done_in_the_last_days_of_the_backup_is_listed(
    accounts: Accounts, database: Database
) -> None:
    old, new = accounts.add_person(), accounts.add_person()
    moment = "now() - interval '40 days'"
    if database.kind == "sqlite":
        moment = "(CAST(strftime('%s', 'now') AS INTEGER) - 40 * 86400) * 1000000"
    accounts.sql(f"""UPDATE "user" SET created = {moment} WHERE email = :email""", email=old.username)
    accounts.sql(
        f"UPDATE membership SET created = {moment} WHERE organization_id = :id", id=old.organization_id
    )
    accounts.sql(f"UPDATE organization SET created = {moment} WHERE id = :id", id=old.organization_id)
    gone = accounts.add_person_to(new.organization_id)
    unrecorded = Person(f"x{new.organization_id}", f"x{new.username}")
    columns = "organization_id, user_id, role, created"
    for statement in (
        "INSERT INTO organization (id, name, token_limit, created) "
        "SELECT :id, name, token_limit, created FROM organization WHERE id = :new_id",
        'INSERT INTO "user" (email, password_hash, created) '
        """SELECT :email, password_hash, created FROM "user" WHERE email = :new_email""",
        f"INSERT INTO membership ({columns}) "
        """SELECT :id, id, 'owner', created FROM "user" WHERE email = :email""",
    ):
        values = {
            "id": unrecorded.organization_id,
            "email": unrecorded.username,
            "new_id": new.organization_id,
            "new_email": new.username,
        }
        accounts.sql(statement, **{name: value for name, value in values.items() if f":{name}" in statement})
    accounts.do(disable_user, gone.username)
    recent = accounts.an_hour_ago
    for kind in ("password_changed", "logout"):
        accounts.sql(
            f"INSERT INTO event (at, kind, actor, email, organization_id) "
            f"VALUES ({recent}, :kind, 'operator', :email, :id)",
            kind=kind, email=old.username, id=old.organization_id,
        )  # fmt: skip
    document = run_command(database.url, "restored", "--yes", "--json").document
    listed = [(item["what"], item["email"], item["organization_id"]) for item in document["review"]]
    assert sorted(listed, key=str) == sorted(
        [
            ("organization_added", None, new.organization_id),
            ("user_added", new.username, new.organization_id),
            ("user_added", gone.username, new.organization_id),
            ("user_disabled", gone.username, None),
            # Of these the audit log knows nothing: the last schema's server did them.
            ("organization added", None, unrecorded.organization_id),
            ("user added", unrecorded.username, None),
            ("member added", unrecorded.username, unrecorded.organization_id),
            # This is long ago, but for its events.
            ("organization_added", None, old.organization_id),
            ("user_added", old.username, old.organization_id),
            ("password_changed", old.username, old.organization_id),
        ],
        key=str,
    )


def test_restored_ends_every_token_on_servers_that_run(
    accounts: Accounts, database: Database, tmp_path: Path
) -> None:
    person = accounts.add_person()
    server = Serving(database.url, tmp_path / "log", workers=2).wait_ready()
    try:
        tokens = [accounts.log_in(person) for _ in range(5)]
        for token in tokens * 4:
            assert status(server.port, token) == 200
        restored = run_command(database.url, "restored", "--yes", "--json").document
        assert restored["ended_token_count"] >= 5
        (detail,) = accounts.sql("SELECT detail FROM event WHERE kind = 'restored' ORDER BY id DESC LIMIT 1")
        assert json.loads(detail[0])["tokens"] == restored["ended_token_count"]
        for token in tokens * 4:
            assert status(server.port, token) == 401
        assert status(server.port, accounts.log_in(person)) == 200
    finally:
        assert server.stop() == 0


def test_restored_asks_first(accounts: Accounts, database: Database) -> None:
    token = accounts.log_in(accounts.add_person())
    assert run_command(database.url, "restored").code == 2
    assert accounts.sql("SELECT count(*) FROM token WHERE id = :id", id=token[4:16]) == [(1,)]


@pytest.mark.parametrize("kind", [kind for kind in RELEASES if kind != "sqlite"])
def test_pg_dump_and_pg_restore_bring_no_token_back(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    # As docs/backup.md has it.
    postgresql: PostgresqlServer = request.getfixturevalue(kind.replace("-", "_"))
    url, empty = postgresql.create_database(), postgresql.create_database()
    accounts = Accounts(url)
    person = accounts.add_person()
    revoked, live = accounts.log_in(person), accounts.log_in(person)
    dump = tmp_path / "nightlatch.dump"
    subprocess.run(
        [postgresql.program("pg_dump"), "--format=custom", f"--file={dump}", f"--dbname={url}"], check=True
    )
    accounts.do(log_out, PlainToken(revoked), Origin())
    accounts.close()
    refused = run_command(url, "backup", str(tmp_path / "copy"))
    assert refused.code == 1
    assert "pg_dump" in refused.error

    subprocess.run(
        [
            postgresql.program("pg_restore"), "--no-owner", "--exit-on-error", "--single-transaction",
            f"--dbname={empty}", dump,
        ],
        check=True,
    )  # fmt: skip
    assert run_command(empty, "restored", "--yes", "--json").document["ended_token_count"] == 2
    server = Serving(empty, tmp_path / "log").wait_ready()
    try:
        assert status(server.port, revoked) == 401
        assert status(server.port, live) == 401
        login = post_json(server.port, "/api/auth/login/", person.login_body)
        assert status(server.port, login.json["token"]) == 200
    finally:
        assert server.stop() == 0
