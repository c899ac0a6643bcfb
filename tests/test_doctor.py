"""`nightlatch doctor`: what it says of right and of wrong set-ups. docs/doctor.md shows the same."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from nightlatch.doctor.finding import Verdict
from nightlatch.doctor.postgresql import judge_lease, waits_from_start
from tests.accounts import Accounts
from tests.commands import Outcome, run_command
from tests.conftest import RELEASES
from tests.postgresql import PostgresqlServer
from tests.replication import ReplicatedPair

pytestmark = pytest.mark.slow
PAGE = Path(__file__).parent.parent / "docs" / "doctor.md"
OWASP = {"password_hash_memory_kib": "19456", "password_hash_time_cost": "2"}
OF_THE_MACHINE = ("password hash", "memory of hashes", "open files", "free disk", "clock")


def doctor(url: str, **settings: str) -> Outcome:
    return run_command(url, "doctor", settings=OWASP | settings)


def told(outcome: Outcome, folder: Path | None = None) -> list[str]:
    """What was said, without what differs from machine to machine and from day to day."""
    assert outcome.error == ""
    return comparable(
        outcome.out if folder is None else outcome.out.replace(str(folder), "/var/lib/nightlatch")
    )


def comparable(text: str) -> list[str]:
    lines = [re.sub(r"[0-9]+", "0", line) for line in text.strip().splitlines()]
    kept = []
    for line in lines:
        if "->" not in line:
            keep = not line[9:].startswith(OF_THE_MACHINE)
        if keep:
            kept.append(re.sub(r"127\.0\.0\.1|0\.0\.0\.0|db0", "db", line))
    return kept


def shown(heading: str) -> list[str]:
    """The example below that heading of the page."""
    match = re.search(rf"^### {re.escape(heading)}\n.*?```text\n(.*?)```", PAGE.read_text(), re.M | re.S)
    assert match is not None, heading
    return comparable(match[1])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a right set-up on SQLite."""
    made = tmp_path / "database"
    made.mkdir(mode=0o700)
    Accounts(f"sqlite:///{made}/nightlatch.db").close()
    return made


@pytest.fixture(scope="module")
def pair() -> Iterator[ReplicatedPair]:
    with ReplicatedPair() as made:
        accounts = Accounts(made.url())
        lengthen_lease(accounts)
        accounts.close()
        yield made


def lengthen_lease(accounts: Accounts) -> None:
    """So that a read on a busy machine is not too slow for it."""
    accounts.sql("UPDATE change_counter SET lease_milliseconds = 10000, lease_waited_milliseconds = 10000")


def test_a_right_set_up_on_sqlite(folder: Path) -> None:
    outcome = doctor(f"sqlite:///{folder}/nightlatch.db")
    assert (outcome.code, told(outcome, folder)) == (0, shown("SQLite, as it should be"))


def test_a_file_that_others_can_read_and_replace(folder: Path) -> None:
    folder.chmod(0o777)
    (folder / "nightlatch.db").chmod(0o644)
    outcome = doctor(f"sqlite:///{folder}/nightlatch.db")
    assert (outcome.code, told(outcome, folder)) == (1, shown("A file that others can read and replace"))


def test_a_damaged_file(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "nightlatch.db")) as connection:
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'token_expiry'"
        ).fetchone()
    with (folder / "nightlatch.db").open("r+b") as file:
        file.seek(4096 * (page - 1))
        file.write(b"\xff" * 4096)
    outcome = doctor(f"sqlite:///{folder}/nightlatch.db")
    assert (outcome.code, told(outcome, folder)) == (1, shown("A damaged file"))


def test_a_hash_that_is_too_cheap(folder: Path) -> None:
    outcome = doctor(f"sqlite:///{folder}/nightlatch.db", password_hash_memory_kib="8")
    assert outcome.code == 1
    assert "guessing is cheaper than OWASP allows" in outcome.out


def test_a_right_set_up_on_postgresql(pair: ReplicatedPair) -> None:
    outcome = doctor(pair.url())
    assert (outcome.code, told(outcome)) == (
        0,
        shown("PostgreSQL with a synchronous standby, as it should be"),
    )


def test_a_standby_that_is_not_waited_for(pair: ReplicatedPair) -> None:
    pair.primary.wait_for("")
    try:
        outcome = doctor(pair.url())
    finally:
        pair.primary.wait_for(pair.standby.name)
        pair.wait_in_sync()
    assert (outcome.code, told(outcome)) == (0, shown("A standby that is not waited for"))


def test_a_synchronous_standby_that_is_gone(pair: ReplicatedPair) -> None:
    pair.standby.stop()
    try:
        outcome = doctor(pair.url())
    finally:
        pair.standby.start()
        pair.wait_in_sync()
    assert (outcome.code, told(outcome)) == (1, shown("A synchronous standby that is gone"))


def test_only_a_standby_is_named(pair: ReplicatedPair) -> None:
    outcome = doctor(pair.standby.url())
    assert (outcome.code, told(outcome)) == (1, shown("Only a standby is named"))


def test_a_database_that_was_set_to_lose_commits(postgresql_18: PostgresqlServer) -> None:
    url = postgresql_18.create_database()
    name = url.rpartition("/")[2]
    accounts = Accounts(url)
    lengthen_lease(accounts)
    accounts.sql(f"ALTER DATABASE {name} SET synchronous_commit = off")
    postgresql_18.configure(fsync="off", full_page_writes="off")
    try:
        outcome = doctor(url)
    finally:
        postgresql_18.configure()
        accounts.close()
    assert (outcome.code, told(outcome)) == (1, shown("A database that may lose what was acknowledged"))


@pytest.mark.parametrize("kind", [kind for kind in RELEASES if kind != "sqlite"])
def test_an_empty_database_names_the_command_that_helps(kind: str, request: pytest.FixtureRequest) -> None:
    postgresql: PostgresqlServer = request.getfixturevalue(kind.replace("-", "_"))
    outcome = doctor(postgresql.create_database())
    assert outcome.code == 1
    assert re.search(r"problem +schema: The database is empty\n +-> Run: nightlatch migrate", outcome.out)


def test_two_primaries_are_told_apart_by_their_timelines() -> None:
    with ReplicatedPair() as pair:
        Accounts(pair.url()).close()
        pair.promote()
        outcome = doctor(pair.url())
        assert outcome.code == 1
        deposed = f"problem  server 127.0.0.1:{pair.standby.port}: primary, timeline 1"
        assert deposed in outcome.out
        assert f"ok       server 127.0.0.1:{pair.primary.port}: primary, timeline 2" in outcome.out


def test_a_role_that_may_not_see_the_standbys_is_told_so(pair: ReplicatedPair) -> None:
    pair.primary.query("CREATE ROLE plain LOGIN")
    outcome = doctor(pair.url().replace("postgres@", "plain@"))
    assert "GRANT pg_read_all_stats" in outcome.out


@pytest.mark.parametrize(
    ("version", "waits"),
    [
        ("15.12 (Debian 15.12-0+deb12u1)", False),
        ("15.13", True),
        ("16.8", False),
        ("17.5", True),
        ("14.99", False),
        ("18.0", True),
        ("19beta1", True),
    ],
)
def test_releases_that_let_commits_pass_just_after_a_start_are_known(version: str, waits: bool) -> None:
    assert waits_from_start(version) is waits


def test_a_database_that_cannot_be_reached_is_told_without_its_password() -> None:
    for url in (
        "postgresql://me:hush%2Fhush@127.0.0.1:1/base",
        "postgresql://me:hush%2Fhush@127.0.0.1:1,127.0.0.1:2/base",
        "postgresql://me@127.0.0.1:1/base?password=hush%2Fhush",
        "postgresql://me:hush%2Fhush@127.0.0.1:1/base?sslmode=hush%2Fhush",
    ):
        for outcome in (doctor(url), run_command(url, "doctor", "--json")):
            assert outcome.code == 1
            assert "server 127.0.0.1:1" in outcome.out
            assert "hush" not in outcome.out + outcome.error


def test_a_wrong_setting_is_a_problem_too(folder: Path) -> None:
    outcome = run_command("sqlite:///x", "doctor", "--json", settings={"port": "x", "colour": "red"})
    assert outcome.code == 1
    assert [check["check"] for check in outcome.document["checks"]] == ["settings", "settings"]


def test_the_doctor_makes_no_database(tmp_path: Path) -> None:
    outcome = doctor(f"sqlite:///{tmp_path}/missing.db")
    assert outcome.code == 1
    assert "nightlatch migrate" in outcome.out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "lease, slowest, verdict, advice",
    [
        (0.25, 0.0833, Verdict.OK, None),
        (0.25, 0.0834, Verdict.WARNING, "lease set 260"),
        (0.25, 0.25, Verdict.PROBLEM, "lease set 750"),
        (0.0, 0.9, Verdict.OK, None),
        (0.05, 0.02, Verdict.WARNING, "lease set 60"),
        (1.0, 9.0, Verdict.PROBLEM, "lease set 10000"),
    ],
)
def test_a_lease_is_at_least_three_of_the_slowest_reads(
    lease: float, slowest: float, verdict: Verdict, advice: str | None
) -> None:
    finding = judge_lease(lease, slowest)
    assert finding.verdict == verdict
    assert finding.advice is None if advice is None else advice in (finding.advice or "")
