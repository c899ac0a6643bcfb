"""Clients as they exist: Python's requests, Ruby's net/http, PHP's curl and curl itself, over TLS."""

import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.accounts import Accounts, Person
from tests.conftest import need
from tests.serving import Serving

EXAMPLES = Path(__file__).parent.parent / "examples" / "clients"
pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class TlsServer:
    """A server behind TLS, whom its clients trust by `authority`."""

    port: int
    authority: Path
    stranger: Path
    accounts: Accounts

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"


def make_authority(folder: Path, name: str) -> Path:
    """A certificate authority's certificate; its key stands beside it."""
    certificate = folder / f"{name}.pem"
    _openssl(
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
        "-keyout", str(folder / f"{name}.key"), "-out", str(certificate),
    )  # fmt: skip
    return certificate


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServer]:
    need(shutil.which("openssl") is not None, "openssl")
    folder = tmp_path_factory.mktemp("tls")
    authority, stranger = make_authority(folder, "authority"), make_authority(folder, "stranger")
    key, request, certificate = folder / "server.key", folder / "server.csr", folder / "server.pem"
    _openssl(
        "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost",
        "-keyout", str(key), "-out", str(request),
    )  # fmt: skip
    names = folder / "names"
    names.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    _openssl(
        "x509", "-req", "-in", str(request), "-days", "2", "-CA", str(authority),
        "-CAkey", str(folder / "authority.key"), "-CAcreateserial",
        "-extfile", str(names), "-out", str(certificate),
    )  # fmt: skip
    accounts = Accounts(f"sqlite:///{folder}/nightlatch.db")
    serving = Serving(accounts.database_url, folder / "log", tls_certificate=certificate, tls_key=key)
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", serving.port), 1).close()
            break
        except OSError:
            assert time.monotonic() < deadline, serving.log.read_text()
            time.sleep(0.05)
    yield TlsServer(serving.port, authority, stranger, accounts)
    assert serving.stop() == 0
    accounts.close()


def environment(tls: TlsServer, person: Person, authority: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "BASE_URL": tls.url,
        "USERNAME": person.username,
        "PASSWORD": person.password,
        "ORGANIZATION_ID": person.organization_id,
        "CA_FILE": str(authority),
    }


CLIENTS = {
    "python": (sys.executable, "client.py"),
    "ruby": ("ruby", "client.rb"),
    "php": ("php", "client.php"),
}


@pytest.mark.parametrize("client", CLIENTS)
def test_an_existing_client_logs_in_uses_its_token_and_logs_out(client: str, tls: TlsServer) -> None:
    program, script = CLIENTS[client]
    need(shutil.which(program) is not None, f"Debian's {client}")
    if client == "php":
        modules = subprocess.run([program, "-m"], capture_output=True, text=True, check=True).stdout
        need("curl" in modules.split(), "Debian's php-curl")
    person = tls.accounts.add_person()
    run = subprocess.run(
        [program, str(EXAMPLES / script)],
        env=environment(tls, person, tls.authority),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (run.returncode, run.stdout.splitlines()[-1:]) == (0, ["ok"]), run.stdout + run.stderr
    assert person.organization_id in run.stdout
    assert tls.accounts.live_tokens(person.organization_id) == 0
    distrusting = subprocess.run(
        [program, str(EXAMPLES / script)],
        env=environment(tls, person, tls.stranger),
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert distrusting.returncode != 0


def test_curl_logs_in_with_json_and_with_a_form(tls: TlsServer) -> None:
    need(shutil.which("curl") is not None, "curl")
    person = tls.accounts.add_person()

    def curl(*arguments: str, stdin: str = "") -> tuple[int, str]:
        command = ["curl", "-sS", "--cacert", str(tls.authority), "-w", "\n%{http_code}", *arguments]
        run = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True, input=stdin)
        body, _, status = run.stdout.rpartition("\n")
        return int(status), body

    login = f"{tls.url}/api/auth/login/"
    as_json = ("-H", "Content-Type: application/json", "-d", json.dumps(person.login_body))
    as_form = [
        flag for name, value in person.login_body.items() for flag in ("--data-urlencode", f"{name}={value}")
    ]
    as_parts = [flag for name, value in person.login_body.items() for flag in ("-F", f"{name}={value}")]
    for body in (as_json, as_form, as_parts):
        status, answer = curl(login, *body)
        assert status == 200, answer
        header = ("-H", f"Authorization: Token {json.loads(answer)['token']}")
        assert curl(f"{tls.url}/api/v1/organizations/", *header)[0] == 200
        assert curl("-X", "POST", f"{tls.url}/api/auth/logout/", *header) == (204, "")
        assert curl(f"{tls.url}/api/v1/organizations/", *header)[0] == 401
    # curl itself waits for 100 Continue before it sends as much.
    json_type = ("-H", "Content-Type: application/json")
    assert curl(login, *json_type, "--data-binary", "@-", stdin="a" * 2_000_000)[0] == 413


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize(
    ("version", "accepted"),
    [(ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True)],
)
def test_tls_is_1_2_at_least(version: ssl.TLSVersion, accepted: bool, tls: TlsServer) -> None:
    context = ssl.create_default_context(cafile=str(tls.authority))
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    with socket.create_connection(("127.0.0.1", tls.port), 10) as plain:
        try:
            context.wrap_socket(plain, server_hostname="localhost").close()
        except (ssl.SSLError, OSError):
            assert not accepted
        else:
            assert accepted
