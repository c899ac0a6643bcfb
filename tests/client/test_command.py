"""The `nightlatch-client` command as processes of their own, against Nightlatch; and the contract kit."""

import json
import os
import re
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from nightlatch_client.conformance.cases import contract_cases
from nightlatch_client.conformance.kit import SKIPPED, Kit
from nightlatch_client.testing import FakeServer
from tests.client.services import KnoxService, NightlatchService

pytestmark = pytest.mark.slow
PATH = "/api/v1/organizations/"


@dataclass(frozen=True)
class Command:
    """The command in a home of its own."""

    home: Path
    service: NightlatchService | KnoxService

    def run(
        self, *arguments: str, code: int = 0, stdin: str = "", password: str | None = None
    ) -> "subprocess.CompletedProcess[str]":
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
        }
        if password is not None:
            environment["NIGHTLATCH_CLIENT_PASSWORD"] = password
        run = subprocess.run(
            [sys.executable, "-m", "nightlatch_client", *arguments],
            env=environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert run.returncode == code, run.stdout + run.stderr
        assert self.service.password not in run.stdout + run.stderr
        return run

    def log_in(self) -> None:
        service = self.service
        self.run(
            *("login", "--url", service.url, "--username", service.username),
            *("--organization", service.organization_id, "--password-stdin"),
            stdin=service.password + "\n",
        )


@pytest.fixture
def command(service: NightlatchService | KnoxService, tmp_path: Path) -> Command:
    return Command(tmp_path, service)


def test_log_in_use_the_token_and_log_out(command: Command) -> None:
    service = command.service
    command.log_in()
    text = command.run("token").stdout.strip()
    assert command.run("token").stdout.strip() == text
    answer = command.run("request", "get", service.url + PATH)
    assert json.loads(answer.stdout)["results"][0]["uuid"] == service.organization_id
    assert answer.stderr == "200 OK\n"
    assert command.run("request", "GET", service.url + "/nope/", code=1).stderr == "404 Not Found\n"
    assert service.organization_id in command.run("whoami").stdout
    assert service.logins() == 1
    # A new login replaces the token.
    command.log_in()
    assert (service.logins(), service.live_tokens()) == (2, 1)
    assert command.run("logout").stdout == "Logged out.\n"
    assert service.live_tokens() == 0
    files = [file for file in command.home.rglob("*") if file.is_file()]
    assert {file.name for file in files} >= {"profiles.json"}
    for file in files:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert service.password not in file.read_text()
        assert text not in file.read_text()


def test_tokens_are_listed_and_revoked_without_using_one(command: Command) -> None:
    service = command.service
    command.log_in()
    command.run("logout")
    if isinstance(service, KnoxService):
        told = command.run("tokens", code=1, password=service.password).stderr
        assert told == "nightlatch-client: This service has no list of tokens.\n"
        return
    other = Command(command.home / "other", service)
    other.log_in()
    listed = json.loads(command.run("tokens", "--json", password=service.password).stdout)
    assert [one["user"] for one in listed] == [service.username]
    assert listed[0]["id"] in command.run("tokens", password=service.password).stdout
    assert command.run("revoke", listed[0]["id"], password=service.password).stdout == "Revoked.\n"
    command.run("revoke", listed[0]["id"], password=service.password, code=1)
    assert (service.logins(), service.live_tokens()) == (2, 0)


@pytest.mark.parametrize("running_service", ["nightlatch"], indirect=True)
def test_what_goes_wrong_is_a_sentence(command: Command) -> None:
    service = command.service
    assert "There is no profile 'default'" in command.run("token", code=1).stderr
    login = ("login", "--username", service.username, "--organization", service.organization_id)
    assert "refused the login" in command.run(*login, "--url", service.url, password="no", code=1).stderr
    assert "not encrypted" in command.run(*login, "--url", "http://a.example", password="no", code=1).stderr
    assert "no terminal" in command.run(*login, "--url", service.url, code=2).stderr
    assert not list(command.home.rglob("profiles.json"))
    command.log_in()
    told = command.run("request", "GET", "https://evil.example.com/", code=1).stderr
    assert "not sent to https://evil.example.com" in told
    assert "secret-argument" not in command.run("token", "secret-argument", code=2).stderr


def test_a_profile_that_moves_to_another_service_takes_no_permissions_along(tmp_path: Path) -> None:
    fake = FakeServer()
    fake.add_user("a@example.com", "pw", "org")
    file = tmp_path / ".config" / "nightlatch-client" / "profiles.json"

    def log_in(*arguments: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "nightlatch_client", "login", *arguments],
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "NIGHTLATCH_CLIENT_PASSWORD": "pw"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        ).stderr

    def kept() -> tuple[list[str], bool]:
        profile = json.loads(file.read_text())["profiles"]["default"]
        return profile["origins"], profile["plain_http"]

    with fake.serving() as first, fake.serving() as second:
        who = ("--username", "a@example.com", "--organization", "org")
        assert log_in("--url", first, *who, "--api", "https://api.example.com", "--plain-http") == ""
        assert log_in("--url", first + "/") == ""
        assert kept() == (["https://api.example.com"], True)
        assert "not encrypted" in log_in("--url", "http://a.example")
        assert log_in("--url", second) == ""
    assert kept() == ([], False)


def test_something_that_takes_longer_than_a_second_is_noted(tmp_path: Path) -> None:
    fake = FakeServer()
    fake.add_user("a@example.com", "pw", "org")
    fake.fail_next(503, retry_after=2)
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "NIGHTLATCH_CLIENT_PASSWORD": "pw"}
    with fake.serving() as url:
        run = subprocess.run(
            [
                *(sys.executable, "-m", "nightlatch_client", "login", "--url", url),
                *("--username", "a@example.com", "--organization", "org"),
            ],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    assert run.stderr == f"Logging in at {url} …\n"


@pytest.mark.parametrize("running_service", ["nightlatch"], indirect=True)
def test_shell_completion_is_there(command: Command) -> None:
    assert "nightlatch" in command.run("--show-completion", "bash").stdout


# The contract kit.


def test_nightlatch_passes_the_contract_kit_and_no_token_is_left(tmp_path: Path) -> None:
    service = NightlatchService(tmp_path)
    try:
        command = Command(tmp_path, service)
        arguments = (
            *("conformance", service.url, "--username", service.username),
            *("--organization", service.organization_id, "--password-stdin", "--json"),
        )
        first = json.loads(command.run(*arguments, stdin=service.password + "\n").stdout)
        everything = json.loads(
            command.run(
                *arguments,
                "--disruptive",
                "--other-organization",
                "zzzzzz",
                stdin=service.password + "\n",
            ).stdout
        )
        assert service.live_tokens() == 0
    finally:
        service.close()
    assert first["fail"] == everything["fail"] == 0
    skipped = {one["name"] for one in everything["cases"] if one["outcome"] == "skip"}
    expected = {
        case["name"] for case in contract_cases() if case["given"] in SKIPPED or "guessed" in case["given"]
    }
    assert skipped == expected
    assert everything["pass"] == len(contract_cases()) - len(expected)
    assert first["skip"] > everything["skip"]


def test_the_kit_finds_what_is_answered_otherwise_and_cleans_up() -> None:
    fake = FakeServer()
    fake.add_user("a@example.com", "pässword-canary", "org")
    with fake.serving() as url:
        results = list(Kit(url, "a@example.com", "org", "pässword-canary").run())
    outcomes = {one.name: one.outcome for one in results}
    # The fake takes JSON only, and knows no media types.
    assert outcomes["login with a form"] == outcomes["text/plain"] == "fail"
    assert outcomes["login with JSON"] == outcomes["logout"] == outcomes["with the token"] == "pass"
    assert fake.live_tokens() == 0
    text = " ".join(one.why for one in results)
    assert "canary" not in text
    assert not re.search("[0-9a-f]{64}", text)
