"""The `nightlatch` command, run as a process as an operator or a script runs it.

Most commands are forked from a process that has imported everything already: a fresh interpreter
spends a second on that each time. `started` runs one where starting is what the test is about.
"""

import csv
import fcntl
import io
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import typer

from nightlatch.cli.main import application
from nightlatch.model.errors import CredentialsRejected, InvalidValue
from nightlatch.model.names import Role
from nightlatch.model.origin import Origin
from nightlatch.usecases.log_in import Login, log_in
from nightlatch.usecases.use_password_link import use_password_link
from tests.accounts import Accounts, Person
from tests.commands import Outcome
from tests.conftest import RELEASES, new_database

pytestmark = pytest.mark.slow

DOCUMENT = Path(__file__).parent.parent / "docs" / "command-line.md"
PASSWORD = "pässword with  spaces "
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
MOMENTS = ("created", "closed", "disabled", "expiry", "last_used", "link_expiry", "at")
CHEAP_HASH = {"NIGHTLATCH_PASSWORD_HASH_MEMORY_KIB": "8", "NIGHTLATCH_PASSWORD_HASH_TIME_COST": "1"}


PRELOADED = """
import importlib, json, os, pkgutil, socket, sys
import asyncpg, rich.console, rich.table, rich.text
import sqlalchemy.dialects.postgresql.asyncpg
import nightlatch.app, nightlatch.cli.main, nightlatch.cli.session, nightlatch.store.schema
import nightlatch.usecases, typer.rich_utils

for module in pkgutil.iter_modules(nightlatch.usecases.__path__, "nightlatch.usecases."):
    importlib.import_module(module.name)
connection = socket.socket(fileno=int(sys.argv[1]))
while True:
    request, descriptors, _, _ = socket.recv_fds(connection, 1 << 17, 3)
    if not request:
        break
    child = os.fork()
    if child == 0:
        connection.close()
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
        for number, mode in enumerate("rww"):
            setattr(sys, ("stdin", "stdout", "stderr")[number], open(number, mode, encoding="utf-8"))
        asked = json.loads(request)
        os.chdir(asked["folder"])
        os.environ.clear()
        os.environ.update(asked["environment"])
        sys.argv = ["nightlatch", *asked["arguments"]]
        try:
            nightlatch.cli.main.run()
        except SystemExit as stop:
            # Taking down all that was imported would take longer than the command.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(stop.code)
        os._exit(99)
    for descriptor in descriptors:
        os.close(descriptor)
    connection.send(b"%d" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@dataclass
class Cli:
    """Runs commands in one folder, on one database."""

    folder: Path
    url: str
    preloaded: socket.socket
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("NIGHTLATCH_")}
        return kept | CHEAP_HASH | {"NIGHTLATCH_DATABASE_URL": self.url, "COLUMNS": "200"} | self.variables

    def run(self, *arguments: str, stdin: bytes = b"") -> Outcome:
        """Run a command in a process forked for it."""
        assert len(stdin) < 65536, "more than a pipe holds"
        given, feed = os.pipe()
        os.write(feed, stdin)
        os.close(feed)
        request = {"arguments": arguments, "folder": str(self.folder), "environment": self.environment}
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as error:
            socket.send_fds(
                self.preloaded, [json.dumps(request).encode()], [given, out.fileno(), error.fileno()]
            )
            os.close(given)
            code = int(self.preloaded.recv(16))
            out.seek(0)
            error.seek(0)
            return Outcome(code, out.read().decode(), error.read().decode())

    def started(self, *arguments: str | bytes) -> Outcome:
        """Run a command in a fresh interpreter."""
        done = subprocess.run(
            [sys.executable, "-m", "nightlatch", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd=self.folder,
            env=self.environment,
            timeout=30,
        )
        return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())

    def json(self, *arguments: str, stdin: bytes = b"") -> Any:
        """The document of a command that must succeed."""
        outcome = self.run(*arguments, "--json", stdin=stdin)
        assert outcome.code == 0, outcome
        return outcome.document

    def on_terminal(self, *arguments: str, typed: list[tuple[bytes, bytes]]) -> Outcome:
        """Run on a terminal of its own; `typed` holds prompts to wait for, and what to type at each.

        `error` is everything that the terminal showed. Standard output is a pipe.
        """
        terminal, process_end = pty.openpty()

        def take_terminal() -> None:
            # As a shell at a terminal starts it, whatever these tests were started by.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            fcntl.ioctl(process_end, termios.TIOCSCTTY, 0)

        process = subprocess.Popen(
            [sys.executable, "-m", "nightlatch", *arguments],
            stdin=process_end,
            stdout=subprocess.PIPE,
            stderr=process_end,
            cwd=self.folder,
            env=self.environment,
            start_new_session=True,
            preexec_fn=take_terminal,
        )
        os.close(process_end)
        shown = b""
        for prompt, line in typed:
            while prompt not in shown:
                shown += os.read(terminal, 4096)
            shown = shown.partition(prompt)[2]
            os.write(terminal, line + b"\n")
        out, _ = process.communicate(timeout=30)
        try:
            while part := os.read(terminal, 4096):
                shown += part
        except OSError:
            pass  # how a terminal says that its other end is closed
        os.close(terminal)
        return Outcome(process.returncode, out.decode(), shown.decode())


@pytest.fixture(scope="module")
def preloaded() -> Iterator[socket.socket]:
    """The connection to the process that commands are forked from."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(30)
    with ours:
        with theirs:
            number = theirs.fileno()
            process = subprocess.Popen([sys.executable, "-c", PRELOADED, str(number)], pass_fds=[number])
        yield ours
    assert process.wait(10) == 0


@pytest.fixture(scope="module")
def cli(preloaded: socket.socket, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """Commands on an SQLite file with an organization 'acme' and its owner 'ann@example.com'."""
    folder = tmp_path_factory.mktemp("cli")
    made = Cli(folder, f"sqlite:///{folder}/nightlatch.db", preloaded)
    made.json("migrate")
    made.json("organization", "add", "Acme", "--id", "acme")
    made.json(
        *("user", "add", "ann@example.com", "--organization", "acme", "--role", "owner"),
        "--password-stdin",
        stdin=PASSWORD.encode() + b"\n",
    )
    return made


@pytest.fixture(scope="module")
def accounts(cli: Cli) -> Iterator[Accounts]:
    """Use cases on the same database."""
    made = Accounts(cli.url)
    yield made
    made.close()


ELSEWHERE = ("import knox", "import drf", "shadow")
"""What needs another service to be tried: tests/test_moving_in.py."""


def documented() -> dict[str, Any]:
    """The JSON examples of docs/command-line.md, by the heading above each."""
    sections = re.split(r"^###? ", DOCUMENT.read_text("utf-8"), flags=re.MULTILINE)
    found = {}
    for section in sections:
        name = re.match(r"`(?:nightlatch )?([^`]+)`", section)
        example = re.search(r"```json\n(.*?)```", section, flags=re.DOTALL)
        if name is not None and example is not None:
            found[name[1]] = json.loads(example[1])
    return found


def keys(document: Any) -> Any:
    """A document's shape: an object's keys; for a list that of its items, which must be alike."""
    if isinstance(document, list):
        shapes = [keys(item) for item in document]
        assert shapes, "an empty list shows no shape"
        assert all(shape == shapes[0] for shape in shapes)
        return shapes[:1]
    return sorted(document)


# A whole life


@pytest.mark.parametrize("kind", RELEASES)
def test_every_command_answers_with_the_documented_keys(
    kind: str, request: pytest.FixtureRequest, preloaded: socket.socket, tmp_path: Path
) -> None:
    cli = Cli(tmp_path, new_database(kind, request, tmp_path).url, preloaded)
    seen: dict[str, Any] = {}

    def do(name: str, *arguments: str, stdin: bytes = b"") -> Any:
        seen[name] = cli.json(*name.split(), *arguments, stdin=stdin)
        return seen[name]

    here = ("--organization", "acme")
    ann, bob = "ann@example.com", "bob@example.com"
    assert do("migrate") == {"before": None, "after": "0006"}
    if kind != "sqlite":
        assert do("lease show") == {"lease_milliseconds": 250, "lease_waited_milliseconds": 250}
        assert do("lease set", "60")["lease_waited_milliseconds"] == 60
    assert cli.json("migrate") == {"before": "0006", "after": "0006"}
    do("version")
    assert (
        do("organization add", "Acme Ltd", "--id", "acme", "--time-to-live", "12h")["time_to_live"] == 43200
    )
    changed = do("organization update", "acme", "--token-limit", "7", "--time-to-live", "never")
    assert (changed["token_limit"], changed["time_to_live"], changed["name"]) == (7, None, "Acme Ltd")
    assert (changed["child_token_limit"], changed["child_time_to_live"]) == (1000, 3600)
    for_children = ("--child-token-limit", "9", "--child-time-to-live", "15m")
    changed = cli.json("organization", "update", "acme", *for_children)
    assert (changed["child_token_limit"], changed["child_time_to_live"]) == (9, 900)
    assert do("organization show", "acme") == changed
    assert do("organization list") == [changed]
    line = PASSWORD.encode() + b"\n"
    owner = do("user add", ann, *here, "--role", "owner", "--password-stdin", stdin=line)
    assert (owner["organization_id"], owner["role"], owner["password"]) == ("acme", "owner", None)
    alone = cli.json("user", "add", "Bob@Example.com", "--generate-password")
    assert (alone["email"], alone["organization_id"], alone["role"]) == (bob, None, None)
    assert len(alone["password"]) >= 20
    assert (alone["link"], alone["link_expiry"]) == (None, None)
    assert do("member add", bob, *here)["role"] == "member"
    assert do("member update", bob, *here, "--role", "owner")["role"] == "owner"
    assert [member["email"] for member in do("member list", *here)] == [ann, bob]
    assert [user["email"] for user in do("user list")] == [ann, bob]

    accounts = Accounts(cli.url)
    try:
        # Passwords arrived as they were given: both people can log in with them.
        tokens = [
            accounts.log_in(Person("acme", ann, PASSWORD), "laptop"),
            accounts.log_in(Person("acme", ann, PASSWORD)),
            accounts.log_in(Person("acme", bob, alone["password"])),
        ]
        ids = [token[4:16] for token in tokens]
        listed = do("token list", *here)
        assert [token["id"] for token in listed] == ids
        child = accounts.issue_child(tokens[2], ["POST"], ["/api/v1/acme/uploads"])
        [listed] = do("token list-children", *here)
        assert (listed["id"], listed["parent_id"]) == (child[4:16], ids[2])
        assert cli.json("token", "revoke", child[4:16], *here) == {"ended_tokens": [child[4:16]]}
        assert cli.json("token", "list-children", *here) == []
        assert do("token revoke", ids[0], *here) == {"ended_tokens": [ids[0]]}
        assert do("token revoke-all", *here, "--user", ann, "--yes") == {"ended_tokens": [ids[1]]}
        assert do("user reset-password", bob)["email"] == bob
        ended = do("user set-password", bob, "--password-stdin", stdin=line)
        assert ended == {"email": bob, "password": None, "ended_tokens": [ids[2]]}
        token = accounts.log_in(Person("acme", bob, PASSWORD))
        assert do("user disable", bob)["ended_tokens"] == [token[4:16]]
        assert do("user enable", bob)["disabled"] is None
        token = accounts.log_in(Person("acme", bob, PASSWORD))
        assert do("member remove", bob, *here)["ended_tokens"] == [token[4:16]]
        token = accounts.log_in(Person("acme", ann, PASSWORD))
        closed = do("organization close", "acme", "--yes")
        told = [event["kind"] for event in do("audit", *here) if event["kind"] != "login"]
        assert told == [
            *(
                "organization_added",
                "limit_changed",
                "limit_changed",
                "user_added",
                "member_added",
                "member_changed",
            ),
            *("child_token_issued", "child_token_revoked"),
            *("token_revoked", "tokens_revoked", "member_removed", "organization_closed"),
        ]
        assert closed["ended_tokens"] == [token[4:16]]
    finally:
        accounts.close()
    # Hashes are too cheap here, which is a problem: the exit code is 1.
    seen["doctor"] = cli.run("doctor", "--json").document
    if kind == "sqlite":
        do("backup", str(tmp_path / "backup.db"))
        do("restore", str(tmp_path / "backup.db"), "--yes")
    assert do("restored", "--yes")["review"][-1]["what"] == "organization_closed"
    assert cli.json("organization", "list") == []
    assert [found["closed"] for found in cli.json("organization", "list", "--closed")] == [closed["closed"]]
    seen["error"] = cli.run("organization", "close", "acme", "--yes", "--json").document

    assert {name: keys(document) for name, document in seen.items()} == {
        name: keys(document)
        for name, document in documented().items()
        if name not in (("lease show", "lease set") if kind == "sqlite" else ("backup", "restore"))
        and name not in ELSEWHERE
    }
    for name, document in seen.items():
        for item in document if isinstance(document, list) else [document]:
            for moment in (item[key] for key in MOMENTS if item.get(key) is not None):
                assert MOMENT.fullmatch(moment), (name, moment)


def test_every_command_is_documented_with_every_option_of_its_own() -> None:
    page = DOCUMENT.read_text("utf-8")
    sections = {
        match[1]: match[2]
        for match in re.finditer(
            r"^### `nightlatch ([^`]+)`\n(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL
        )
    }
    options: dict[str, set[str]] = {}

    def collect(name: str, command: Any) -> None:
        if hasattr(command, "commands"):
            for word, inner in command.commands.items():
                collect(f"{name} {word}".strip(), inner)
        else:
            options[name] = {
                option for parameter in command.params for option in parameter.opts if option.startswith("--")
            }

    collect("", typer.main.get_command(application))
    assert sections.keys() == options.keys()
    shared = set.intersection(*options.values())
    assert shared == {"--config", "--database-url", "--json"}
    for name, own in options.items():
        missing = {option for option in own - shared if option not in sections[name]}
        assert not missing, name


# Exit codes and sentences


@pytest.mark.parametrize(
    "arguments, code, error, sentence",
    [
        (["organization", "show", "nowhere"], 1, "not_found", "There is no open organization 'nowhere'"),
        (["organization", "add", "B", "--id", "acme"], 1, "already_exists", "organization 'acme' already"),
        (["organization", "add", "B", "--id", "A!"], 2, "invalid_value", "2 to 32 lower-case"),
        (["organization", "add", ""], 2, "invalid_value", "1 to 200 printable"),
        (["organization", "add", "B", "--time-to-live", "1 day"], 2, "invalid_value", "30d, 12h, 90m"),
        (["organization", "add", "B", "--time-to-live", "0"], 2, "invalid_value", "ten years"),
        (["organization", "add", "B", "--token-limit", "-1"], 2, "invalid_value", "from 0 to"),
        (
            ["organization", "update", "acme"],
            2,
            "usage",
            "--name, --token-limit, --limit-policy, --time-to-live, --child-token-limit",
        ),
        (["user", "add", "nobody", "--generate-password"], 2, "invalid_value", "is not an e-mail address"),
        (["user", "add", "ann@example.com", "--generate-password"], 1, "already_exists", "member add"),
        (["user", "add", "b@example.com", "--role", "owner"], 2, "usage", "--organization"),
        (["user", "add", "b@example.com", "--valid-for", "soon"], 2, "invalid_value", "24h, 90m, 3d"),
        (["user", "add", "b@example.com", "--valid-for", "never"], 2, "invalid_value", "24h, 90m, 3d"),
        (["user", "add", "b@example.com", "--valid-for", "31d"], 2, "invalid_value", "30 days"),
        (
            ["user", "add", "b@example.com", "--valid-for", "1h", "--generate-password"],
            2,
            "usage",
            "--valid-for",
        ),
        (["user", "reset-password", "eve@example.com"], 1, "not_found", "There is no user 'eve@example.com'"),
        (["user", "disable", "eve@example.com"], 1, "not_found", "There is no user 'eve@example.com'"),
        (
            ["member", "add", "eve@example.com", "--organization", "acme"],
            1,
            "not_found",
            "nightlatch user list",
        ),
        (["member", "update", "ann@example.com", "--organization", "acme"], 2, "usage", "--role"),
        (["member", "add", "ann@example.com", "--organization", "acme", "--role", "x"], 2, "usage", "member"),
        (["token", "revoke", "4fTz0aB7Qm2K", "--organization", "acme"], 1, "not_found", "token list"),
        (["user", "list", "--config", "missing.toml"], 1, "cannot_start", "missing.toml"),
    ],
)
def test_a_refusal_is_a_sentence_a_code_and_an_exit_code(
    cli: Cli, arguments: list[str], code: int, error: str, sentence: str
) -> None:
    outcome = cli.run(*arguments, "--json")
    assert outcome.code == code, outcome
    assert outcome.document["error"] == error
    assert sentence in outcome.document["message"]
    assert sentence in outcome.error
    assert "Traceback" not in outcome.error


def test_a_refusal_without_json_leaves_standard_output_empty(cli: Cli) -> None:
    outcome = cli.run("organization", "show", "nowhere")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.error.startswith("nightlatch: There is no open organization 'nowhere'.")


def test_the_last_owner_stays(cli: Cli) -> None:
    for command in (
        ["user", "disable", "ann@example.com"],
        ["member", "remove", "ann@example.com", "--organization", "acme"],
        ["member", "update", "ann@example.com", "--organization", "acme", "--role", "member"],
    ):
        outcome = cli.run(*command, "--json")
        assert (outcome.code, outcome.document["error"]) == (1, "last_owner"), command
        assert "Give it another owner first" in outcome.error
        assert "nightlatch organization close acme" in outcome.error
    assert [member["role"] for member in cli.json("member", "list", "--organization", "acme")] == ["owner"]


def test_an_owner_may_go_once_another_active_one_is_there(cli: Cli, accounts: Accounts) -> None:
    first = accounts.add_person()
    here = ("--organization", first.organization_id)
    second = accounts.add_person_to(first.organization_id, Role.OWNER)
    cli.json("user", "disable", second.username)
    # A disabled owner cannot act, so that the first is still the last.
    assert cli.run("member", "remove", first.username, *here).code == 1
    cli.json("user", "enable", second.username)
    assert cli.json("member", "update", first.username, *here, "--role", "member")["role"] == "member"
    cli.json("member", "update", first.username, *here, "--role", "owner")
    cli.json("member", "remove", second.username, *here)
    cli.json("member", "add", second.username, *here, "--role", "owner")
    assert cli.json("user", "disable", first.username)["disabled"] is not None


def test_a_new_password_and_disabling_end_the_tokens_of_every_organization(
    cli: Cli, accounts: Accounts
) -> None:
    person = accounts.add_person(Role.MEMBER)
    other = accounts.add_person().organization_id
    elsewhere = accounts.join(person, other)
    # Of somebody else, and therefore to stay.
    accounts.log_in(accounts.add_person_to(other))
    for command in (["user", "set-password", "--password-stdin"], ["user", "disable"]):
        tokens = [accounts.log_in(who) for who in (person, elsewhere)]
        ended = cli.json(*command, person.username, stdin=person.password.encode())["ended_tokens"]
        assert sorted(ended) == sorted(token[4:16] for token in tokens), command
        assert accounts.live_tokens(person.organization_id) == 0
        assert accounts.live_tokens(other) == 1


@pytest.mark.parametrize(
    "written, seconds",
    [("30d", 2592000), ("12h", 43200), ("90m", 5400), ("45s", 45), ("3600", 3600), ("never", None)],
)
def test_a_time_to_live_is_read_in_every_unit(cli: Cli, written: str, seconds: int | None) -> None:
    added = cli.json("organization", "add", "Times", "--time-to-live", written)
    assert added["time_to_live"] == seconds
    cli.json("organization", "update", added["id"], "--time-to-live", "1d")
    updated = cli.json("organization", "update", added["id"], "--time-to-live", written)
    assert updated["time_to_live"] == seconds


def test_what_is_no_time_to_live_is_refused_and_changes_nothing(cli: Cli) -> None:
    before = cli.json("organization", "show", "acme")
    for written in ("garbage", "", "-1", "0", "1.5h", "30D", "never ", "\u0663d", "999999999999d"):
        outcome = cli.run("organization", "update", "acme", f"--time-to-live={written}", "--json")
        assert (outcome.code, outcome.document["error"]) == (2, "invalid_value"), written
    assert cli.json("organization", "show", "acme") == before


def test_an_argument_that_is_not_utf_8_is_refused(cli: Cli) -> None:
    for command in ([b"user", b"disable", b"\xff@example.com"], [b"organization", b"show", b"\xff"]):
        assert cli.started(*command).code == 2


# Settings and the database


def test_an_unknown_variable_stops_every_admin_command_with_its_name(cli: Cli) -> None:
    outcome = Cli(cli.folder, cli.url, cli.preloaded, {"NIGHTLATCH_PROT": "1"}).run("user", "list", "--json")
    assert (outcome.code, outcome.document["error"]) == (1, "cannot_start")
    assert "NIGHTLATCH_PROT" in outcome.error


@pytest.mark.parametrize(
    "variable, value, allowed",
    [
        ("NIGHTLATCH_LOG_LEVEL", "loud", "'warning'"),
        ("NIGHTLATCH_PASSWORD_HASH_TIME_COST", "0", "greater than or equal to 1"),
        ("NIGHTLATCH_DATABASE_URL", "mysql://ann:geheim@host/db", "sqlite:///FILE"),
    ],
)
def test_a_wrong_value_stops_with_the_setting_and_what_is_allowed(
    cli: Cli, variable: str, value: str, allowed: str
) -> None:
    outcome = Cli(cli.folder, cli.url, cli.preloaded, {variable: value}).run("user", "list", "--json")
    assert (outcome.code, outcome.document["error"]) == (1, "cannot_start")
    assert outcome.document.keys() == {"error", "message"}
    for text in (outcome.document["message"], outcome.error):
        assert variable in text
        assert allowed in text
        assert "geheim" not in text


def test_an_unknown_key_in_the_file_stops_with_its_name(cli: Cli, tmp_path: Path) -> None:
    config = tmp_path / "nightlatch.toml"
    config.write_text("prot = 1\n")
    outcome = cli.run("user", "list", "--config", str(config), "--json")
    assert (outcome.code, outcome.document["error"]) == (1, "cannot_start")
    assert "prot" in outcome.document["message"]
    assert "no such setting" in outcome.error


def test_the_file_wins_over_the_default_which_is_a_file_in_the_working_directory(
    cli: Cli, tmp_path: Path
) -> None:
    def started(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {key: value for key, value in cli.environment.items() if "DATABASE_URL" not in key}
        return subprocess.run(
            [sys.executable, "-m", "nightlatch", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment,
            timeout=30,
        )

    config = tmp_path / "nightlatch.toml"
    config.write_text('database_url = "sqlite:///named.db"\n')
    assert started("migrate").returncode == 0
    assert (tmp_path / "nightlatch.db").exists()
    assert "named.db" in started("user", "list", "--config", str(config)).stderr
    assert not (tmp_path / "named.db").exists()


def test_only_migrate_creates_a_missing_database_file(preloaded: socket.socket, tmp_path: Path) -> None:
    cli = Cli(tmp_path, f"sqlite:///{tmp_path}/other.db", preloaded)
    outcome = cli.run("user", "list")
    assert outcome.code == 1
    assert "nightlatch migrate" in outcome.error
    assert "nightlatch serve" in outcome.error
    assert list(tmp_path.iterdir()) == []
    # Nobody is asked for a password that could not be used.
    assert "other.db" in cli.run("user", "set-password", "ann@example.com").error
    cli.json("migrate")
    assert (tmp_path / "other.db").exists()
    assert cli.started("user", "list", "--json").out == "[]\n"


def test_an_empty_database_names_migrate(preloaded: socket.socket, tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    outcome = Cli(tmp_path, f"sqlite:///{tmp_path}/empty.db", preloaded).run("user", "list")
    assert outcome.code == 1
    assert "Run: nightlatch migrate" in outcome.error


def test_a_flag_wins_over_a_variable_over_the_file_and_after_the_command_over_before(
    cli: Cli, tmp_path: Path
) -> None:
    missing = f"sqlite:///{tmp_path}/%s.db"
    (tmp_path / "nightlatch.toml").write_text(f'database_url = "{missing % "file"}"\n')
    config = ("--config", str(tmp_path / "nightlatch.toml"))
    elsewhere = Cli(tmp_path, missing % "variable", cli.preloaded)
    assert "variable.db" in elsewhere.run("user", "list", *config).error
    assert "before.db" in elsewhere.run("--database-url", missing % "before", "user", "list").error
    both = elsewhere.run(
        *config, "--database-url", missing % "before", "user", "list", "--database-url", cli.url
    )
    assert both.code == 0, both
    assert "ann@example.com" in both.out


def test_an_unreachable_database_is_told_with_its_reason_and_without_its_password(
    preloaded: socket.socket, tmp_path: Path
) -> None:
    cli = Cli(tmp_path, "postgresql://ann:geheim@127.0.0.1:1/none", preloaded)
    outcome = cli.run("user", "list", "--json")
    assert (outcome.code, outcome.document["error"]) == (1, "store_unavailable")
    assert "ConnectionRefusedError" in outcome.error
    assert "geheim" not in outcome.out + outcome.error


def test_a_bug_shows_places_but_no_values(preloaded: socket.socket, tmp_path: Path) -> None:
    """A use case that fails as nobody foresaw, with secrets in its variables and its message."""
    script = (
        "import nightlatch.usecases.show_users as module\n"
        "async def broken(services):\n"
        "    secret = 'geheim'\n"
        "    raise ValueError(secret)\n"
        "module.show_users = broken\n"
        "from nightlatch.cli.main import run\n"
        "run()\n"
    )
    cli = Cli(tmp_path, f"sqlite:///{tmp_path}/nightlatch.db", preloaded)
    cli.json("migrate")
    done = subprocess.run(
        [sys.executable, "-c", script, "user", "list", "--json"],
        capture_output=True,
        env=cli.environment,
        text=True,
        timeout=30,
    )
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"] == "unexpected"
    assert "builtins.ValueError" in done.stderr
    assert "cli/user.py" in done.stderr
    assert "geheim" not in done.stdout + done.stderr


# Serve


@pytest.mark.parametrize(
    "arguments, named",
    [
        (["--database-url", "mysql://ann:geheim@host/db"], "NIGHTLATCH_DATABASE_URL"),
        (["--tls-key", "key.pem"], "tls_certificate and tls_key belong together"),
        (["--tls-certificate", "chain.pem"], "tls_certificate and tls_key belong together"),
        (["--tls-certificate", "none.pem", "--tls-key", "none.pem"], "none.pem cannot be read"),
        (["--port", "65536"], "NIGHTLATCH_PORT"),
    ],
)
def test_serve_does_not_start_on_a_wrong_setting_and_names_it(
    cli: Cli, arguments: list[str], named: str
) -> None:
    outcome = cli.started("serve", *arguments, "--json")
    assert (outcome.code, outcome.document["error"]) == (1, "cannot_start"), outcome
    assert named in outcome.document["message"]
    assert named in outcome.error
    assert "geheim" not in outcome.out + outcome.error


def test_serve_names_a_port_that_is_in_use(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        outcome = cli.started("serve", "--port", str(port), "--json")
    assert (outcome.code, outcome.document["error"]) == (1, "cannot_start")
    assert f"127.0.0.1:{port}" in outcome.error
    assert "Traceback" not in outcome.error


# Passwords


def test_without_a_terminal_the_two_password_flags_are_named(cli: Cli) -> None:
    outcome = cli.run("user", "set-password", "ann@example.com")
    assert outcome.code == 2
    assert "--password-stdin" in outcome.error
    assert "--generate-password" in outcome.error


@pytest.mark.parametrize(
    "stdin, sentence",
    [
        (b"", "empty"),
        (b"\n", "empty"),
        (b"one\ntwo\n", "more than one line"),
        (b"windows\r\n", "control character"),
        (b"\xff\n", "not in UTF-8"),
        (b"x" * 1025, "1024 bytes"),
        (b"fourteen chars", "14 of at least 15 characters"),
        (b"correcthorsebatterystaple", "guessed first"),
        (b"bob.of.the.whole.company@example.com", "e-mail address"),
    ],
)
def test_standard_input_that_is_no_password_is_refused(cli: Cli, stdin: bytes, sentence: str) -> None:
    email = "bob.of.the.whole.company@example.com"
    outcome = cli.run("user", "add", email, "--password-stdin", "--json", stdin=stdin)
    assert (outcome.code, outcome.document["error"]) == (2, "invalid_value")
    assert sentence in outcome.document["message"]


def test_a_given_password_is_in_no_output_and_a_generated_one_only_once(cli: Cli) -> None:
    given = cli.run("user", "add", "carol@example.com", "--password-stdin", stdin=PASSWORD.encode())
    assert given.code == 0
    assert PASSWORD.strip() not in given.out + given.error
    generated = cli.json("user", "set-password", "carol@example.com", "--generate-password")["password"]
    text = cli.run("user", "set-password", "carol@example.com", "--generate-password")
    printed = re.findall(r"^Password: (\S{20,})$", text.out, re.MULTILINE)
    assert len(printed) == 1
    assert text.out.count(printed[0]) == 1
    assert printed != [generated]
    assert text.error == ""


def test_no_command_takes_a_password_as_an_argument(cli: Cli) -> None:
    for option in ("--password", "--password=geheim"):
        outcome = cli.run("user", "add", "dave@example.com", option, "--json")
        assert (outcome.code, outcome.document["error"]) == (2, "usage")
        assert "geheim" not in outcome.out + outcome.error
    both = cli.run("user", "add", "dave@example.com", "--password-stdin", "--generate-password")
    assert both.code == 2


def test_a_terminal_is_asked_twice_and_never_shows_the_password(cli: Cli, accounts: Accounts) -> None:
    prompts = (b"New password: ", b"The same again: ")
    typed = PASSWORD.encode()
    set_password = ("user", "set-password", "ann@example.com", "--json")
    different = cli.on_terminal(*set_password, typed=[(prompts[0], typed), (prompts[1], b"other")])
    assert (different.code, different.document["error"]) == (2, "invalid_value")
    same = cli.on_terminal(*set_password, typed=[(prompt, typed) for prompt in prompts])
    assert (same.code, same.document["password"]) == (0, None), same
    assert "ssword with" not in same.out + same.error
    assert accounts.log_in(Person("acme", "ann@example.com", PASSWORD))


def test_an_interrupted_or_ended_prompt_changes_nothing(cli: Cli, accounts: Accounts) -> None:
    command = ("user", "set-password", "ann@example.com")
    before = accounts.sql('SELECT password_hash FROM "user" ORDER BY id')
    # Prompts take lines; Ctrl-C and Ctrl-D act before the newline that follows them.
    interrupted = cli.on_terminal(*command, typed=[(b"New password: ", b"\x03")])
    assert (interrupted.code, interrupted.out) == (130, "")
    ended = cli.on_terminal(*command, "--json", typed=[(b"New password: ", b"\x04")])
    assert (ended.code, ended.document["error"]) == (1, "refused")
    assert accounts.sql('SELECT password_hash FROM "user" ORDER BY id') == before


# Links to set a password


def test_a_link_is_printed_for_people_and_in_json_and_works(cli: Cli, accounts: Accounts) -> None:
    added = cli.run("user", "add", "erin@example.com", "--organization", "acme")
    assert added.code == 0
    first, sentence, url = added.out.splitlines()
    assert first == "Added user 'erin@example.com' as member of 'acme'."
    assert "erin@example.com" in sentence
    assert re.fullmatch(r"http://127\.0\.0\.1:8000/set-password/\?link=nlp_[0-9A-Za-z]{49}", url)
    assert "public_url (NIGHTLATCH_PUBLIC_URL)" in added.error
    person = Person("acme", "erin@example.com", PASSWORD)
    with pytest.raises(CredentialsRejected):
        accounts.log_in(person)

    renewed = cli.run("user", "reset-password", "Erin@Example.com", "--valid-for", "2h", "--json")
    assert renewed.document["email"] == "erin@example.com"
    with pytest.raises(InvalidValue, match="newer one"):
        accounts.do(use_password_link, url.partition("=")[2], PASSWORD, Origin())
    accounts.do(use_password_link, renewed.document["link"].partition("=")[2], PASSWORD, Origin())
    assert accounts.log_in(person)


@pytest.mark.parametrize(
    ("variables", "beginning"),
    [
        ({"PUBLIC_URL": "https://auth.example.com"}, "https://auth.example.com/set-password/"),
        ({"PUBLIC_URL": "https://example.com:444/auth/"}, "https://example.com:444/auth/set-password/"),
        ({"HOST": "::1", "PORT": "81"}, "http://[::1]:81/set-password/"),
        ({"TLS_KEY": "k", "TLS_CERTIFICATE": "c"}, "https://127.0.0.1:8000/set-password/"),
    ],
    ids=str,
)
def test_a_link_begins_with_the_public_url_or_says_that_it_does_not(
    cli: Cli, variables: dict[str, str], beginning: str
) -> None:
    named = {f"NIGHTLATCH_{name}": value for name, value in variables.items()}
    elsewhere = Cli(cli.folder, cli.url, cli.preloaded, named)
    outcome = elsewhere.run("user", "reset-password", "ann@example.com", "--json")
    assert outcome.document["link"].startswith(f"{beginning}?link=nlp_")
    assert ("public_url" in outcome.error) == ("PUBLIC_URL" not in variables)


def test_a_generated_password_is_as_long_as_it_must_be(cli: Cli) -> None:
    strict = Cli(cli.folder, cli.url, cli.preloaded, {"NIGHTLATCH_PASSWORD_LENGTH_MIN": "64"})
    assert len(strict.json("user", "add", "frank@example.com", "--generate-password")["password"]) >= 64


# Confirmation


@pytest.mark.parametrize(
    "command", [["organization", "close", "acme"], ["token", "revoke-all", "--organization", "acme"]]
)
def test_what_cannot_be_undone_needs_yes_or_a_person(
    cli: Cli, accounts: Accounts, command: list[str]
) -> None:
    accounts.log_in(accounts.add_person_to("acme"))
    before = accounts.live_tokens("acme")
    alone = cli.run(*command, "--json", stdin=b"y\n")
    assert (alone.code, alone.document["error"]) == (2, "usage")
    assert "--yes" in alone.error
    declined = cli.on_terminal(*command, typed=[(b"[y/N] ", b"")])
    assert declined.code == 1
    assert "Nothing was changed." in declined.error
    assert accounts.live_tokens("acme") == before > 0


def test_a_person_may_confirm_on_the_terminal(cli: Cli, accounts: Accounts) -> None:
    person = accounts.add_person()
    accounts.log_in(person)
    outcome = cli.on_terminal(
        "token", "revoke-all", "--organization", person.organization_id, typed=[(b"[y/N] ", b"y")]
    )
    assert (outcome.code, outcome.out) == (0, "1 token ended.\n")


# Hostile names


def test_markup_in_a_name_is_printed_as_it_is(cli: Cli) -> None:
    name = "[bold]x[/bold]"
    added = cli.run("organization", "add", name, "--id", "markup")
    assert (added.code, name in added.out) == (0, True)
    assert name in cli.run("organization", "list").out
    assert cli.json("organization", "show", "markup")["name"] == name


def test_names_with_control_characters_are_refused(cli: Cli) -> None:
    before = cli.json("organization", "list")
    for name in ("a\x1b[2J", "a\tb", "a\nb", "a\x7f", "a\u202eb", "a\u0085b"):
        for command in (["add", name], ["update", "acme", "--name", name]):
            outcome = cli.run("organization", *command, "--json")
            assert (outcome.code, outcome.document["error"]) == (2, "invalid_value"), command
    assert cli.json("organization", "list") == before


def test_names_from_the_database_neither_steer_the_terminal_nor_read_as_markup(
    cli: Cli, accounts: Accounts
) -> None:
    person = accounts.add_person()
    hostile = "\x1b[2J\u202e[red]no[/red] :smile:\x9b\x7f\r\nfake row"
    accounts.sql(
        "UPDATE organization SET name = :name WHERE id = :id", name=hostile, id=person.organization_id
    )
    accounts.log_in(person, name=hostile)
    shown = "\ufffd[2J\ufffd[red]no[/red] :smile:\ufffd\ufffd\ufffd\ufffdfake row"
    for command in (
        ["organization", "list"],
        ["organization", "show", person.organization_id],
        ["token", "list", "--organization", person.organization_id],
    ):
        outcome = cli.run(*command)
        assert outcome.code == 0
        assert shown in outcome.out, outcome.out
        assert not set(outcome.out) & set("\x1b\u202e\x9b\x7f\r")
        exact = cli.run(*command, "--json")
        assert exact.out.isascii()
        assert exact.out.strip().isprintable()
        items = exact.document if isinstance(exact.document, list) else [exact.document]
        assert hostile in [item["name"] for item in items]
    unknown = cli.run("user", "disable", "\x1b[2J@example.com")
    assert unknown.code == 1
    assert "\x1b" not in unknown.error


def test_a_whole_token_given_for_its_id_is_not_repeated(cli: Cli, accounts: Accounts) -> None:
    person = accounts.add_person()
    token = accounts.log_in(person)
    outcome = cli.run("token", "revoke", token, "--organization", person.organization_id, "--json")
    assert outcome.code == 2
    assert token[16:] not in outcome.out + outcome.error


def test_a_token_of_another_organization_is_not_found(cli: Cli, accounts: Accounts) -> None:
    person, stranger = accounts.add_person(), accounts.add_person()
    token = accounts.log_in(person)
    outcome = cli.run("token", "revoke", token[4:16], "--organization", stranger.organization_id)
    assert outcome.code == 1
    assert accounts.live_tokens(person.organization_id) == 1


# The audit log


def test_the_audit_log_is_exported_without_loss_and_without_formulas(cli: Cli, accounts: Accounts) -> None:
    person = accounts.add_person()
    here = ("--organization", person.organization_id)
    for name in ("=1+1", '@cmd "quoted", and more', "after"):
        cli.json("organization", "update", person.organization_id, "--name", name)
    for agent in ("=cmd|' /C calc'!A0", "\x1b[2J\u202e;\r\n-1"):
        accounts.do(log_in, Login(person.credentials, "", None, Origin("192.0.2.1", agent, "id")))
    told = cli.json("audit", *here)
    assert [event["kind"] for event in told] == [
        *("organization_added", "user_added", "organization_changed", "organization_changed"),
        *("organization_changed", "login", "login"),
    ]
    lines = cli.run("audit", *here, "--format", "jsonl").out.splitlines()
    assert [json.loads(line) for line in lines] == told
    exported = cli.run("audit", *here, "--format", "csv").out
    header, *rows = csv.reader(io.StringIO(exported))
    assert header == list(told[0])
    assert [row[0] for row in rows] == [str(event["id"]) for event in told]
    assert [row[header.index("user_agent")][:6] for row in rows[-2:]] == ["'=cmd|", "\ufffd[2J\ufffd;"]
    assert [json.loads(row[header.index("detail")]) for row in rows] == [event["detail"] for event in told]
    table = cli.run("audit", *here).out
    assert len(table.splitlines()) == len(told) + 1
    for text in (*lines, exported, table):
        assert not set(text) & set("\x1b\u202e\r")
    newest = cli.run("audit", *here, "--limit", "1", "--format", "jsonl").out
    assert json.loads(newest) == told[-1]
    assert len(cli.run("audit", "--limit", "0", "--format", "jsonl").out.splitlines()) > len(told)


def test_times_of_the_audit_log_are_moments_or_so_long_ago(cli: Cli, accounts: Accounts) -> None:
    person = accounts.add_person()
    here = ("--organization", person.organization_id)
    told = cli.json("audit", *here)
    assert cli.json("audit", *here, "--since", "1h", "--until", "2999-01-01") == told
    assert cli.json("audit", *here, "--until", "1h") == []
    assert cli.json("audit", *here, "--since", told[1]["at"], "--user", person.username.upper()) == told[1:]
    assert cli.json("audit", *here, "--until", told[1]["at"]) == told[:1]
    for wrong in (["--since", "yesterday"], ["--since", "never"], ["--until", "0001-01-01T00:00+23:59"]):
        outcome = cli.run("audit", *wrong)
        assert outcome.code == 2
        assert "so long ago" in outcome.error
    for wrong in (["--follow", "--json"], ["--format", "csv", "--json"], ["--follow", "--until", "1h"]):
        assert cli.run("audit", *wrong).code == 2
    assert cli.run("audit", "--kind", "logins").code == 2


def test_the_audit_log_can_be_followed_line_by_line_until_interrupted(cli: Cli, accounts: Accounts) -> None:
    person = accounts.add_person()
    here = ("--organization", person.organization_id)
    process = subprocess.Popen(
        [sys.executable, "-m", "nightlatch", "audit", *here, "--follow", "--format", "jsonl"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cli.folder,
        env=cli.environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # whoever starts the tests
    )
    try:
        assert process.stdout is not None
        kinds = [json.loads(process.stdout.readline())["kind"] for _ in range(2)]
        for _ in range(2):
            accounts.log_in(person)
            kinds.append(json.loads(process.stdout.readline())["kind"])
        assert kinds == ["organization_added", "user_added", "login", "login"]
        process.send_signal(signal.SIGINT)
        rest, error = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, rest) == (130, b"")
    assert b"Traceback" not in error


# Output


def test_the_version_needs_no_settings_and_loads_nothing_heavy(
    preloaded: socket.socket, tmp_path: Path
) -> None:
    cli = Cli(tmp_path, "nonsense", preloaded, {"NIGHTLATCH_PROT": "1", "PYTHONPROFILEIMPORTTIME": "1"})
    outcome = cli.started("version")
    assert (outcome.code, outcome.out.split()[0]) == (0, "nightlatch")
    for module in ("sqlalchemy", "argon2", "granian", "fastapi"):
        assert not re.search(rf"\| +{module}\n", outcome.error), module


def test_an_answer_that_cannot_be_written_is_told(cli: Cli) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "nightlatch", "user", "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=cli.environment,
            timeout=30,
        )
    assert done.returncode == 1
    assert b"could not be written" in done.stderr


@pytest.mark.parametrize("arguments", [(), ("serve",), ("organization", "add"), ("token", "revoke-all")])
def test_help_names_the_options_of_every_command(cli: Cli, arguments: tuple[str, ...]) -> None:
    outcome = cli.run(*arguments, "--help")
    assert outcome.code == 0
    for option in ("--config", "--database-url"):
        assert option in outcome.out
    assert ("--json" in outcome.out) == bool(arguments)


def test_a_password_typed_as_an_argument_is_not_repeated(tmp_path: Path) -> None:
    for flags in ([], ["--json"]):
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "nightlatch",
                "user",
                "add",
                "x@b.c",
                "--password-stdin",
                "geheim",
                *flags,
            ],
            cwd=tmp_path,
            input=b"another password\n",
            capture_output=True,
            check=False,
        )
        assert done.returncode == 2
        assert b"geheim" not in done.stdout + done.stderr
        assert b"an argument too many" in done.stderr


@pytest.mark.parametrize(
    ("closed", "code"), [(">&-", 2), ("2>&-", 1), ("<&-", 1)], ids=["stdout", "stderr", "stdin"]
)
def test_a_closed_stream_loses_no_answer_and_changes_nothing(closed: str, code: int, tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -m nightlatch organization add Acme --json {closed}', sys.executable],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert done.returncode == code
    assert list(tmp_path.iterdir()) == []
    assert b"Traceback" not in done.stderr
    if closed == ">&-":
        assert b"standard output is closed" in done.stderr
    else:
        assert json.loads(done.stdout).keys() == {"error", "message"}
