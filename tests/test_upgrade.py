"""Zero-downtime upgrade: servers of the schema before run on the new schema, beside new ones.

The server before is the real one: the code of the last commit before the newest migration, taken from
git's history, with the dependencies of today. Without that history (a shallow clone, a source archive)
there is nothing to test.
"""

import io
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.accounts import Accounts
from tests.conftest import Database
from tests.serving import Serving
from tests.sockets import exchange, post_json, with_token

pytestmark = [pytest.mark.slow, pytest.mark.every_release]
PROJECT = Path(__file__).parent.parent
VERSIONS = "src/nightlatch/store/migrations/versions"


def git(*arguments: str) -> bytes:
    """What git answers; skips the test where it has no answer."""
    try:
        done = subprocess.run(["git", "-C", str(PROJECT), *arguments], capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs git")
    if done.returncode != 0:
        pytest.skip("needs the history of the newest migration")
    return done.stdout


def package_before(migration: str, folder: Path) -> Path:
    """Where in the folder the package now is, as it was before that migration was added."""
    added = git("log", "--diff-filter=A", "--format=%H", "-1", "--", f"{VERSIONS}/{migration}").decode()
    if not added:
        pytest.skip(f"needs the history of {migration}")
    archive = git("archive", f"{added.strip()}^", "src/nightlatch")
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    assert not (folder / VERSIONS / migration).exists()
    return folder / "src"


@pytest.fixture(scope="module")
def code_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as it was before the newest migration was added."""
    newest = max((PROJECT / VERSIONS).glob("r*.py")).name
    return package_before(newest, tmp_path_factory.mktemp("before"))


class OldServing(Serving):
    """A server of that code."""

    def __init__(self, code: Path, database_url: str, log: Path) -> None:
        # `serve` makes its workers from this path too.
        self._code = code
        super().__init__(database_url, log, workers=2)

    def _start(self) -> "subprocess.Popen[bytes]":
        # It knows no setting that is newer.
        known = (self._code / "nightlatch" / "settings.py").read_text()
        self._environment = {
            name: value
            for name, value in self._environment.items()
            if not name.startswith("NIGHTLATCH_") or f"    {name[11:].lower()}: " in known
        } | {"PYTHONPATH": str(self._code)}
        where = subprocess.run(
            [sys.executable, "-c", "import nightlatch; print(nightlatch.__file__)"],
            env=self._environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert where.stdout.startswith(str(self._code)), "that would be the code of today"
        return super()._start()


def test_a_server_of_the_schema_before_runs_on_the_new_one(
    code_before: Path, accounts: Accounts, database: Database, tmp_path: Path
) -> None:
    person = accounts.add_person(token_limit=5)
    before = OldServing(code_before, database.url, tmp_path / "before").wait_ready(60)
    now = Serving(database.url, tmp_path / "now", workers=2).wait_ready(60)
    ports = [before.port, now.port]

    def log_in(port: int) -> str:
        reply = post_json(port, "/api/auth/login/", person.login_body)
        assert reply.status == 200, reply
        return str(reply.json["token"])

    def verified(token: str) -> set[int]:
        return {exchange(port, "GET", "/api/auth/verify/", with_token(token)).status for port in ports * 6}

    try:
        for makes, ends in ((0, 1), (1, 0), (0, 0)):
            token = log_in(ports[makes])
            assert verified(token) == {200}
            listed = exchange(ports[ends], "GET", "/api/auth/tokens/", with_token(token)).json
            assert [item["id"] for item in listed["results"]] == [token[4:16]]
            introspected = exchange(
                ports[ends], "POST", "/api/auth/introspect/",
                [*with_token(token), ("Content-Type", "application/x-www-form-urlencoded")],
                f"token={token}".encode(),
            )  # fmt: skip
            assert introspected.json["active"] is True
            assert exchange(ports[ends], "POST", "/api/auth/logout/", with_token(token)).status == 204
            assert verified(token) == {401}
        tokens = [log_in(ports[index % 2]) for index in range(5)]
        for port in ports:
            assert post_json(port, "/api/auth/login/", person.login_body).status == 403
        end = exchange(ports[0], "DELETE", f"/api/auth/tokens/{tokens[1][4:16]}/", with_token(tokens[0]))
        assert end.status == 204
        assert verified(tokens[1]) == {401}
        assert exchange(ports[0], "POST", "/api/auth/logoutall/", with_token(tokens[0])).status == 204
        assert all(verified(token) == {401} for token in tokens)
    finally:
        assert now.stop() == 0
        assert before.stop() == 0
    assert "Traceback" not in (tmp_path / "before").read_text()


def test_to_a_server_from_before_child_tokens_they_are_none_and_whom_it_ends_takes_them_along(
    accounts: Accounts, database: Database, tmp_path: Path
) -> None:
    code = package_before("r0003_child_tokens.py", tmp_path)
    person = accounts.add_person()
    before = OldServing(code, database.url, tmp_path / "before").wait_ready(60)
    now = Serving(database.url, tmp_path / "now", workers=2, trusted_proxies="127.0.0.1").wait_ready(60)
    told = (("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", "/a"))

    def verified(server: Serving, token: str) -> set[int]:
        headers = [*with_token(token), *told]
        return {exchange(server.port, "GET", "/api/auth/verify/", headers).status for _ in range(6)}

    try:
        for ending in ("/api/auth/logout/", "/api/auth/logoutall/"):
            parent = accounts.log_in(person)
            child = accounts.issue_child(parent, ["GET"], ["/a"])
            assert verified(now, child) == {200}
            assert verified(before, child) == {401}
            assert verified(before, parent) == {200}
            assert exchange(before.port, "POST", ending, with_token(child)).status in (204, 401)
            assert verified(now, child) == {200}
            assert exchange(before.port, "POST", ending, with_token(parent)).status == 204
            assert verified(now, child) == {401}
    finally:
        assert now.stop() == 0
        assert before.stop() == 0
    assert "Traceback" not in (tmp_path / "before").read_text()
