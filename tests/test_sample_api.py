"""examples/assets: log in, use the token on resources, log out, be refused; over real sockets.

In process, and behind nginx with deploy/nginx/nightlatch.conf.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from nightlatch.model.token import generate_token
from tests.accounts import PASSWORD, Accounts, Person
from tests.conftest import Database, need
from tests.postgresql import free_port
from tests.serving import Serving
from tests.sockets import Reply, exchange, post_json, with_token

ROOT = Path(__file__).parent.parent
ASSETS = ROOT / "examples" / "assets"
LOGOUTS = 20


@contextmanager
def running(command: list[str], port: int, log: Path, environment: dict[str, str]) -> Iterator[None]:
    """A program that listens on that port when the block begins."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, env=os.environ | environment, cwd=ASSETS, stdout=file, stderr=file
        )
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                exchange(port, "GET", "/")
                break
            except (OSError, IndexError):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"it did not start:\n{log.read_text()}") from None
                time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(15)


def nginx_configuration(folder: Path, port: int, server_port: int, api_port: int) -> Path:
    """deploy/nginx/nightlatch.conf with these ports, in a configuration for a user of its own."""
    forward = (ROOT / "deploy" / "nginx" / "nightlatch.conf").read_text()
    for named, ours in (
        ("127.0.0.1:8000", f"127.0.0.1:{server_port}"),
        ("127.0.0.1:9000", f"127.0.0.1:{api_port}"),
        ("listen 8080;", f"listen 127.0.0.1:{port};"),
    ):
        assert forward.count(named) >= 1, named
        forward = forward.replace(named, ours)
    (folder / "nightlatch.conf").write_text(forward)
    paths = "".join(
        f"    {name}_temp_path {folder}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{\n    access_log off;\n{paths}    include {folder}/nightlatch.conf;\n}}\n"
    )
    return configuration


@dataclass(frozen=True)
class Api:
    """The sample API: where it is asked, and where it listens."""

    port: int
    own_port: int

    def ask(
        self, method: str, organization_id: str, token: str, asset_id: str = "", data: object = None
    ) -> Reply:
        path = f"/api/v1/{organization_id}/assets/" + (f"{asset_id}/" if asset_id else "")
        body = None if data is None else json.dumps(data).encode()
        return exchange(self.port, method, path, with_token(token), body)


@pytest.fixture(scope="module", params=["in process", "behind nginx", "FastAPI in process", "DRF over HTTP"])
def api(
    request: pytest.FixtureRequest,
    database: Database,
    server: Serving,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("api")
    environment = {"NIGHTLATCH_DATABASE_URL": database.url}
    own_port = free_port()
    if request.param == "in process":
        with running([sys.executable, "in_process.py", str(own_port)], own_port, folder / "log", environment):
            yield Api(own_port, own_port)
        return
    if request.param != "behind nginx":
        file = "with_fastapi.py" if request.param.startswith("FastAPI") else "with_drf.py"
        if request.param.endswith("over HTTP"):
            environment = {"NIGHTLATCH_URL": f"http://127.0.0.1:{server.port}"}
        with running([sys.executable, file, str(own_port)], own_port, folder / "log", environment):
            yield Api(own_port, own_port)
        return
    nginx = shutil.which("nginx")
    need(nginx is not None, "nginx")
    port = free_port()
    configuration = nginx_configuration(folder, port, server.port, own_port)
    with (
        running([sys.executable, "behind_proxy.py", str(own_port)], own_port, folder / "log", {}),
        running([str(nginx), "-c", str(configuration)], port, folder / "nginx.log", {}),
    ):
        yield Api(port, own_port)


@pytest.fixture(scope="module")
def person(accounts: Accounts) -> Person:
    return accounts.add_person(token_limit=1000)


def log_in(server: Serving, person: Person) -> str:
    reply = post_json(server.port, "/api/auth/login/", person.login_body)
    assert reply.status == 200
    token: str = reply.json["token"]
    return token


def log_out(server: Serving, token: str) -> int:
    return exchange(server.port, "POST", "/api/auth/logout/", with_token(token)).status


def test_the_story_from_login_to_refusal(api: Api, server: Serving, person: Person) -> None:
    token, mine = log_in(server, person), person.organization_id
    made = api.ask("POST", mine, token, data={"title": "Opening night"})
    assert made.status == 201
    assert made.json | {"id": ""} == {"id": "", "title": "Opening night", "created_by": person.username}
    asset_id = made.json["id"]
    assert api.ask("GET", mine, token).json == {"count": 1, "results": [made.json]}
    assert api.ask("GET", mine, token, asset_id).json == made.json
    assert api.ask("DELETE", mine, token, asset_id).status == 204
    assert api.ask("GET", mine, token, asset_id).status == 404
    assert log_out(server, token) == 204
    for method in ("GET", "POST"):
        refused = api.ask(method, mine, token, data={"title": "Too late"} if method == "POST" else None)
        assert refused.status == 401
        assert refused.headers["www-authenticate"] == "Token"
    assert api.ask("GET", mine, log_in(server, person)).json["count"] == 0


def test_the_story_as_a_script(api: Api, server: Serving, person: Person) -> None:
    urls = [f"http://127.0.0.1:{port}" for port in (server.port, api.port)]
    run = subprocess.run(
        ["sh", str(ASSETS / "story.sh"), *urls, person.organization_id, person.username],
        input=PASSWORD.encode(),
        capture_output=True,
        check=False,
        timeout=60,
    )
    lines = run.stdout.decode().splitlines()
    statuses = [line.split()[0] for line in lines]
    assert statuses == ["201", "200", "200", "204", "404", "403", "204", "401"], run.stderr
    assert run.returncode == 0
    assert not any(len(word) > 20 for line in lines for word in line.split() if word.startswith("nlt_"))


def test_a_token_that_was_in_use_is_refused_as_soon_as_its_logout_is_answered(
    api: Api, server: Serving, person: Person
) -> None:
    for _ in range(LOGOUTS):
        token = log_in(server, person)
        assert {api.ask("GET", person.organization_id, token).status for _ in range(3)} == {200}
        assert log_out(server, token) == 204
        assert {api.ask("GET", person.organization_id, token).status for _ in range(3)} == {401}


def test_an_organization_sees_its_own_assets_only(
    api: Api, server: Serving, accounts: Accounts, person: Person
) -> None:
    other = accounts.add_person()
    theirs, mine = log_in(server, other), log_in(server, person)
    asset_id = api.ask("POST", other.organization_id, theirs, data={"title": "Secret"}).json["id"]
    for method, named in (("GET", ""), ("POST", ""), ("GET", asset_id), ("DELETE", asset_id)):
        data = {"title": "x"} if method == "POST" else None
        assert api.ask(method, other.organization_id, mine, named, data).status == 403
    assert api.ask("GET", person.organization_id, mine, asset_id).status == 404
    assert api.ask("DELETE", person.organization_id, mine, asset_id).status == 404
    assert api.ask("GET", other.organization_id, theirs).json["count"] == 1


def test_who_shows_no_live_token_is_refused(api: Api, server: Serving, person: Person) -> None:
    path = f"/api/v1/{person.organization_id}/assets/"
    token = log_in(server, person)
    for headers in (
        [],
        [("Authorization", "Token")],
        [("Authorization", f"Bearer {token}")],
        with_token(generate_token().reveal()),
        [("X-Auth-Organization", person.organization_id), ("X-Auth-User", person.username)],
    ):
        reply = exchange(api.port, "GET", path, headers)
        assert reply.status == 401
        assert reply.headers["www-authenticate"] == "Token"


def test_ht1_two_authorization_headers_are_no_token(api: Api, server: Serving, person: Person) -> None:
    path = f"/api/v1/{person.organization_id}/assets/"
    live = with_token(log_in(server, person))
    for headers in (live + live, [*live, ("Authorization", "x")], [("Authorization", "x"), *live]):
        assert exchange(api.port, "GET", path, headers).status in (400, 401)  # 400: nginx's own


def test_identity_headers_of_the_client_change_nothing(
    api: Api, server: Serving, accounts: Accounts, person: Person
) -> None:
    token = log_in(server, person)
    forged = [("X-Auth-User", "root@example.com"), ("X-Auth-Organization", "zz"), ("X-Auth-Role", "owner")]
    path = f"/api/v1/{person.organization_id}/assets/"
    reply = exchange(api.port, "POST", path, [*with_token(token), *forged], b'{"title": "Mine"}')
    assert (reply.status, reply.json["created_by"]) == (201, person.username)
    assert api.ask("DELETE", person.organization_id, token, reply.json["id"]).status == 204


def test_what_cannot_be_read_is_400_with_a_sentence(api: Api, server: Serving, person: Person) -> None:
    token = log_in(server, person)
    path = f"/api/v1/{person.organization_id}/assets/"
    for body in (b"", b"{", b"[]", b"{}", b'{"title": 5}', b'{"title": " "}', b"[" * 9000, b"\xff"):
        reply = exchange(api.port, "POST", path, with_token(token), body)
        assert reply.status == 400, body
        assert reply.json["detail"]
    assert exchange(api.port, "POST", path, with_token(token), b'"' + b"x" * 20_000).status == 413
    assert exchange(api.port, "PUT", path, with_token(token)).status == 405


def test_the_api_behind_a_proxy_listens_on_this_machine_only_and_refuses_without_the_headers(
    api: Api, person: Person
) -> None:
    if api.port == api.own_port:
        return
    path = f"/api/v1/{person.organization_id}/assets/"
    organization, user = ("X-Auth-Organization", person.organization_id), ("X-Auth-User", person.username)
    for headers in (
        [],
        [organization],
        [user],
        [organization, ("X-Auth-User", "")],
        [organization, user, user],
    ):
        assert exchange(api.own_port, "GET", path, headers).status == 401
    listening = {
        line.split()[1]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[3] == "0A" and line.split()[1].endswith(f":{api.own_port:04X}")
    }
    assert listening == {f"0100007F:{api.own_port:04X}"}
