"""No secret leaves the process but in the one answer that makes it."""

import base64
import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from nightlatch.console.asked import Asked
from nightlatch.console.cookies import SESSION
from nightlatch.console.language import languages
from nightlatch.edge.fields import LoginFields
from nightlatch.hot.header import read_token_header
from nightlatch.model.event import EventKind
from nightlatch.model.names import Email, OrganizationId, Role, UserId
from nightlatch.model.origin import Origin
from nightlatch.model.records import IssuedToken
from nightlatch.model.refusal import Refusal
from nightlatch.model.secret import SESSION as SESSION_SECRET
from nightlatch.model.session import Session, SessionId
from nightlatch.model.standing import Identity
from nightlatch.model.token import generate_token
from nightlatch.settings import load_settings
from nightlatch.store.logins import NewToken
from nightlatch.store.tables import metadata
from nightlatch.usecases.check_password import Credentials
from nightlatch.usecases.log_in import Login
from nightlatch.usecases.services import Services
from nightlatch.usecases.set_password import set_password
from tests.accounts import Accounts, Person
from tests.conftest import new_database
from tests.console_browser import Browser, Page
from tests.serving import Serving
from tests.sockets import exchange, post_json, with_token

pytestmark = pytest.mark.slow

CANARY = "kanarienvogel-7391-passwort"


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_no_token_or_password_is_in_logs_database_or_process_list(log_format: str, tmp_path: Path) -> None:
    accounts = Accounts(f"sqlite:///{tmp_path}/nightlatch.db")
    serving = Serving(
        accounts.database_url,
        tmp_path / "log",
        log_level="debug",
        log_format=log_format,
        use_flush_seconds=0.1,
    ).wait_ready()
    try:
        person = accounts.add_person()
        accounts.do(set_password, person.username, CANARY)
        known = Person(person.organization_id, person.username, CANARY)
        answers = []
        token = post_json(serving.port, "/api/auth/login/", known.login_body).json["token"]
        malformed = token[:-1] + ("x" if token[-1] != "x" else "y")
        pair = base64.b64encode(f"{known.username}:{CANARY}".encode()).decode()
        for method in ("GET", "POST", "DELETE", "PUT", "OPTIONS"):
            for path in (
                "/api/auth/tokens/",
                f"/api/auth/tokens/{token}/",
                "/api/v1/organizations/",
                f"/{token}",
            ):
                for value in (f"Token {token}", f"Token {malformed}", f"Bearer {token}", f"Basic {pair}"):
                    target = f"{path}?organization_id={known.organization_id}&token={token}"
                    answers.append(exchange(serving.port, method, target, [("Authorization", value)]))
        # People type a password where the username belongs; and bodies break in every way.
        for body in (
            {**known.login_body, "username": CANARY},
            {**known.login_body, "organization_id": CANARY},
            {**known.login_body, "time_to_live": CANARY},
            {**known.login_body, "name": token * 2},
            {"password": CANARY},
        ):
            answers.append(post_json(serving.port, "/api/auth/login/", body))
        broken = json.dumps(known.login_body)[:-2].encode()
        for content_type in ("application/json", "multipart/form-data; boundary=x", "text/plain", CANARY):
            answers.append(
                exchange(serving.port, "POST", "/api/auth/login/", [("Content-Type", content_type)], broken)
            )
        answers.append(exchange(serving.port, "POST", "/api/auth/logout/", with_token(token)))
        cmdline = b"".join(
            Path(f"/proc/{pid}/cmdline").read_bytes() for pid in (serving.process.pid, *serving.worker_pids())
        )
    finally:
        serving.stop()
        accounts.close()
    secret, pair_secret = token[17:].encode(), pair.encode()
    log = (tmp_path / "log").read_bytes()
    assert b"login_refused" in log
    for name in ("nightlatch.db", "nightlatch.db-wal"):
        content = (tmp_path / name).read_bytes() if (tmp_path / name).exists() else b""
        assert secret not in content
        assert CANARY.encode() not in content
    for text in (log, cmdline):
        assert secret not in text
        assert pair_secret not in text
        assert CANARY.encode() not in text
    for answer in answers:
        assert secret not in answer.body
        # A 415 repeats the media type that was sent, as the reference does; nothing else is repeated.
        assert CANARY.encode() not in answer.body or answer.status == 415


def test_an_unexpected_error_is_logged_without_values_and_answered_in_the_common_shape(
    tmp_path: Path,
) -> None:
    """A table that is missing is nothing that the code expects."""
    accounts = Accounts(f"sqlite:///{tmp_path}/nightlatch.db")
    person = accounts.add_person()
    token = accounts.log_in(person)
    serving = Serving(accounts.database_url, tmp_path / "log").wait_ready()
    try:
        connection = sqlite3.connect(tmp_path / "nightlatch.db")
        connection.execute('ALTER TABLE "user" RENAME TO broken')
        connection.close()
        known = Person(OrganizationId(person.organization_id), person.username, CANARY)
        for reply in (
            post_json(serving.port, "/api/auth/login/", known.login_body),
            exchange(serving.port, "GET", "/api/v1/organizations/", with_token(token)),
        ):
            assert reply.status == 503
            assert reply.json.keys() == {"detail"}
    finally:
        serving.stop()
        accounts.close()
    log = (tmp_path / "log").read_text()
    assert CANARY not in log
    assert token[17:] not in log


def test_every_answer_is_kept_from_caches_and_sniffing(tmp_path: Path) -> None:
    accounts = Accounts(f"sqlite:///{tmp_path}/nightlatch.db")
    serving = Serving(accounts.database_url, tmp_path / "log").wait_ready()
    try:
        for path in (
            "/api/auth/login/",
            "/nope",
            "/docs",
            "/openapi.json",
            "/health/live/",
            "/docs/assets/x",
        ):
            reply = exchange(serving.port, "GET", path)
            assert reply.headers["cache-control"] == "no-store"
            assert reply.headers["x-content-type-options"] == "nosniff"
            assert len(reply.headers["x-request-id"]) == 16
    finally:
        serving.stop()
        accounts.close()


METHODS = ("GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS", "TRACE")
PATHS = (
    "/api/auth/login/", "/api/auth/logout/", "/api/auth/logoutall/", "/api/auth/tokens/",
    "/api/auth/tokens/{}/", "/api/auth/verify/", "/api/auth/introspect/", "/api/auth/revoke/",
    "/api/auth/password/", "/api/auth/events/", "/set-password/?link={}",
    "/api/v1/organizations/", "/health/ready/", "/metrics", "/docs", "/openapi.json", "/{}",
    "/console/", "/console/sign-in/", "/console/tokens/", "/console/{}/", "/console/invitation/?link={}",
)  # fmt: skip
TYPES = (
    "application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain",
)  # fmt: skip


@dataclass(frozen=True)
class Secrets:
    """What must be nowhere, and where it is put."""

    token: str
    password: str
    person: Person

    def authorization(self, kind: str) -> str:
        """A header that holds one of them, right or malformed."""
        pair = base64.b64encode(f"{self.person.username}:{self.password}".encode()).decode()
        return {
            "token": f"Token {self.token}",
            "other case": f"tOKEN\t{self.token}",
            "wrong checksum": f"Token {self.token[:-1]}{'x' if self.token[-1] != 'x' else 'y'}",
            "cut off": f"Token {self.token[:-3]}",
            "two": f"Token {self.token} {self.token}",
            "not ASCII": f"Token {self.token}\xff",
            "bare": self.token,
            "bearer": f"Bearer {self.token}",
            "basic": f"Basic {pair}",
            "basic, malformed": f"Basic {pair[:-2]}!",
            "basic, no pair": f"Basic {base64.b64encode(self.password.encode()).decode()}",
        }[kind]

    def body(self, kind: str, spoiled: str) -> bytes:
        """A login that is right, or wrong in the way that `spoiled` says."""
        fields: dict[str, Any] = dict(self.person.login_body) | {"password": self.password}
        if spoiled in fields or spoiled == "time_to_live":
            fields[spoiled] = self.password
        elif spoiled == "surrogate":
            fields["username"] = self.password + "\ud800"
        elif spoiled == "NUL":
            fields["username"] = self.password + "\x00"
        elif spoiled == "nested":
            fields["password"] = {"password": self.password}
        fields["token"] = self.token
        if kind == TYPES[1]:
            body = urlencode(fields, errors="replace").encode()
        elif kind == TYPES[2]:
            parts = (
                f'--x\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in fields.items()
            )
            body = "".join([*parts, "--x--\r\n"]).encode("utf-8", "replace")
        else:
            body = json.dumps(fields).encode()
        return body[:-3] if spoiled == "cut off" else body

    def are_in(self, content: bytes) -> bool:
        """Whether any of them is, plainly or as it is written in JSON, URLs or base64."""
        secret = self.token[17:].encode()
        encoded = base64.b64encode(f":{self.password}".encode())[4:-4]
        return secret in content or self.password.encode() in content or encoded in content


AUTHORIZATIONS = (
    "token", "other case", "wrong checksum", "cut off", "two", "not ASCII", "bare", "bearer", "basic",
    "basic, malformed", "basic, no pair",
)  # fmt: skip
SPOILED = (
    "nothing", "username", "organization_id", "time_to_live", "surrogate", "NUL", "nested", "cut off",
)  # fmt: skip


@pytest.mark.parametrize("kind", ["sqlite", "postgresql-18"])
@pytest.mark.parametrize("log_format", ["json", "text"])
def test_no_secret_gets_out_however_it_is_sent(
    kind: str, log_format: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    database = new_database(kind, request, tmp_path)
    accounts = Accounts(database.url)
    person = accounts.add_person(token_limit=10_000)
    accounts.do(set_password, person.username, CANARY)
    known = Person(person.organization_id, person.username, CANARY)
    serving = Serving(
        database.url, tmp_path / "log", log_level="debug", log_format=log_format, use_flush_seconds=0.1
    ).wait_ready(60)
    tokens = [accounts.log_in(known)]
    tried = 0

    @settings(max_examples=250, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(
        # Every other one is a login.
        st.one_of(st.just(("POST", PATHS[0])), st.tuples(st.sampled_from(METHODS), st.sampled_from(PATHS))),
        st.sampled_from((None, *AUTHORIZATIONS)),
        st.sampled_from(TYPES),
        st.sampled_from(SPOILED),
        st.booleans(),
        st.booleans(),
    )
    def attempt(
        asked: tuple[str, str],
        header: str | None,
        media_type: str,
        spoiled: str,
        query: bool,
        forwarded: bool,
    ) -> None:
        nonlocal tried
        method, path = asked
        secrets = Secrets(tokens[-1], CANARY, known)
        target = path.format(secrets.token)
        if query:
            pairs = {"token": secrets.token, "password": CANARY, "organization_id": known.organization_id}
            target += ("&" if "?" in target else "?") + urlencode(pairs)
        headers = [("Content-Type", media_type)]
        if header is not None:
            headers.append(("Authorization", secrets.authorization(header)))
        if forwarded:
            # As they come from a client that mixes its headers up.
            headers += [
                (name, secrets.token) for name in ("Cookie", "X-Forwarded-For", "X-Api-Key", "Origin")
            ]
            headers += [("X-Request-Id", CANARY), ("X-Organization-Id", CANARY), ("Referer", f"/{CANARY}")]
        reply = exchange(serving.port, method, target, headers, secrets.body(media_type, spoiled))
        tried += 1
        assert reply.status < 500
        if path.startswith("/console/"):
            return  # its pages link to themselves, in other languages
        shown = b"\n".join(
            [*(f"{name}: {value}".encode() for name, value in reply.headers.items()), reply.body]
        )
        if reply.status == 200 and path == PATHS[0] and method == "POST":
            made = reply.json["token"]
            shown = shown.replace(made.encode(), b"")  # the one answer that shows a token
            tokens.append(made)
        allowed_origin = f"access-control-allow-origin: {secrets.token}".encode()
        assert not secrets.are_in(shown.replace(allowed_origin, b"")), (method, target, headers, shown)

    try:
        attempt()
        time.sleep(1.2)  # flushed each second: what would leak has to be there
        metrics = exchange(serving.port, "GET", "/metrics").body
        processes = [serving.process.pid, *serving.worker_pids()]
        command_lines = b"".join(Path(f"/proc/{pid}/cmdline").read_bytes() for pid in processes)
        for pid in processes:
            limits = Path(f"/proc/{pid}/limits").read_text()
            assert re.search(r"Max core file size +0 +0 ", limits)  # a core dump holds what memory does
        stored = _stored(accounts)
        for name in ("nightlatch.db", "nightlatch.db-wal"):
            stored += (tmp_path / name).read_bytes() if (tmp_path / name).exists() else b""
    finally:
        assert serving.stop() == 0
        accounts.close()
    log = (tmp_path / "log").read_bytes()
    assert tried >= 200
    assert len(tokens) > 2
    assert b"login_refused" in log
    for token in tokens:
        for content in (log, metrics, command_lines, stored):
            assert not Secrets(token, CANARY, known).are_in(content)
    if log_format == "json":
        for line in log.splitlines():
            json.loads(line)
    else:
        assert all(character.isprintable() or character == "\n" for character in log.decode())


@pytest.mark.parametrize("kind", ["sqlite", "postgresql-18"])
@pytest.mark.parametrize("log_format", ["json", "text"])
def test_no_secret_of_the_console_gets_out_but_in_the_one_page_or_cookie_that_makes_it(
    kind: str, log_format: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    database = new_database(kind, request, tmp_path)
    accounts = Accounts(database.url)
    person, member = accounts.add_person(), Person("", "")
    accounts.do(set_password, person.username, CANARY)
    known = Person(person.organization_id, person.username, CANARY)
    member = accounts.add_person_to(person.organization_id)
    serving = Serving(
        database.url, tmp_path / "log", log_level="debug", log_format=log_format, use_flush_seconds=0.1
    ).wait_ready(60)
    browser, pages, found = Browser(serving.port), [], set()
    new = f"{CANARY}-new"

    def post(path: str, fields: dict[str, str]) -> Page:
        pages.append(browser.post(f"/console/{path}", fields))
        found.update(browser.jar.get(SESSION, "").split())
        return pages[-1]

    def made(kind: str, page: Page) -> str:
        """The secret that this page shows, alone of all."""
        match = re.search(rf"{kind}_[0-9A-Za-z_-]{{40,}}", page.text)
        assert match is not None, page.words
        found.add(match[0])
        pages.remove(page)
        return match[0]

    user = accounts.sql('SELECT id FROM "user" WHERE email = :email', email=member.username)[0][0]
    try:
        for fields in ({"password": new}, {"username": CANARY}, {"organization_id": CANARY}, {}):
            post("sign-in/", {**known.login_body, **fields})
        token = made("nlt", post("tokens/new/", {"name": "laptop"}))
        link = made("nli", post("members/", {"email": "ann@example.com", "role": "member"}))
        made("nlp", post(f"members/{user}/password/", {}))
        accounts.sql("UPDATE session SET confirmed = created")
        if accounts.engines.sqlite_file is None:
            accounts.sql("UPDATE session SET confirmed = confirmed - interval '1 hour'")
        else:
            accounts.sql("UPDATE session SET confirmed = confirmed - 3600000000")
        for password in (new, CANARY):
            post("organization/", {"name": "Other", "current_password": password})
        for current, wanted in ((new, new), (CANARY, "short"), (CANARY, new)):
            fields = {"do": "password", "current_password": current, "new_password": wanted}
            post("account/", fields)
        stranger = Browser(serving.port)
        for password in ("short", new, new):
            pages.append(stranger.post("/console/invitation/", {"link": link, "password": password}))
        pages.append(browser.post("/console/tokens/new/", {"name": token, "current_password": CANARY}, []))
        pages.append(browser.post(f"/console/{token}/", {"password": CANARY}, []))
        for path in ("tokens/", "members/", "account/", "activity/", "activity/export/", "organization/"):
            pages.append(browser.get(f"/console/{path}"))
        post("sign-out/", {})
        time.sleep(1.2)  # refusals and metrics are flushed each second: what would leak has to be there
        metrics = exchange(serving.port, "GET", "/metrics").body
        stored = _stored(accounts)
    finally:
        assert serving.stop() == 0
        accounts.close()
    log = (tmp_path / "log").read_bytes()
    assert b"signed_in" in log
    assert b"member_invited" in log
    assert len(found) == 6  # three sessions: at the sign-in, with the password again, with the new one
    for secret in (*(each[-40:] for each in found), CANARY):
        for content in (log, metrics, stored):
            assert secret.encode() not in content
        for page in pages:
            said = page.text + "".join(value for name, value in page.headers if name != "set-cookie")
            # A form shows again what was typed into it, and a password never.
            assert not re.search(r'<input(?=[^>]*type="password")[^>]*value="[^"]', said)
            if secret == CANARY:
                said = said.replace(f'value="{CANARY}"', "")
            assert secret not in said or (secret == link[-40:] and 'name="link"' in said)


def _stored(accounts: Accounts) -> bytes:
    """Everything in the tables, as text."""
    return b"".join(
        repr(accounts.sql(f'SELECT * FROM "{table.name}"')).encode() for table in metadata.sorted_tables
    )


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_a_traceback_shows_neither_values_of_variables_nor_the_errors_message(
    log_format: str, tmp_path: Path
) -> None:
    """A value in the database that the code does not know is an error which libraries tell with the value."""
    accounts = Accounts(f"sqlite:///{tmp_path}/nightlatch.db")
    person = accounts.add_person()
    serving = Serving(accounts.database_url, tmp_path / "log", log_format=log_format).wait_ready(60)
    try:
        connection = sqlite3.connect(tmp_path / "nightlatch.db", isolation_level=None)
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("UPDATE organization SET limit_policy = ?", (CANARY,))
        connection.close()
        reply = post_json(serving.port, "/api/auth/login/", person.login_body)
        assert (reply.status, reply.json) == (500, {"detail": "Internal server error."})
    finally:
        assert serving.stop() == 0
        accounts.close()
    log = (tmp_path / "log").read_text()
    assert "request_failed" in log
    assert "check_password.py" in log
    assert CANARY not in log
    assert person.password not in log


def test_nothing_that_holds_a_secret_shows_it_when_it_is_printed() -> None:
    url = f"postgresql://user:{CANARY}@host/db"
    configured = load_settings({"database_url": url}, None, {})
    token = generate_token()
    credentials = Credentials("ann@example.com", CANARY, "acme", "192.0.2.1")
    fields = LoginFields(username="a", password=CANARY, organization_id="acme")
    session = SESSION_SECRET.generate()
    identity = Identity(OrganizationId("acme"), UserId(1), Email("ann@example.com"), Role.OWNER)
    moments = [datetime.now(UTC)] * 4
    signed_in = Session(SessionId("0" * 12), session.digest, identity, "Acme", *moments)
    asked = Asked(
        cast(Services, None), Request({"type": "http"}), signed_in, Origin(), languages()[0], "", None,
        fields={"current_password": (CANARY,)}, secret=session,
    )  # fmt: skip
    header = read_token_header(f"Token {token.reveal()}".encode())
    things: list[object] = [
        configured, credentials, fields, token, header,
        Login(credentials, "", None, Origin("192.0.2.1", "agent", "id")),
        Refusal(EventKind.LOGIN_REFUSED, "wrong password", CANARY, CANARY),
        NewToken(token, "", "", None),
        IssuedToken(token, None, ()), session, signed_in, asked,
    ]  # fmt: skip
    shown = [*map(repr, things), *map(str, things), *(f"{thing}" for thing in things)]
    shown += [configured.model_dump_json(), str(configured.model_dump()), repr(vars(configured))]
    for text in shown:
        assert CANARY not in text
        assert token.reveal()[17:] not in text
        assert session.reveal()[4:] not in text
        assert repr(session.digest) not in text


@pytest.mark.parametrize(
    "arguments", [["--help"], ["serve", "--help"], ["serve", "--port", "x"], ["user", "list"]]
)
def test_the_command_line_shows_no_password_of_a_database_url(arguments: list[str]) -> None:
    environment = os.environ | {"NIGHTLATCH_DATABASE_URL": f"postgresql://u:{CANARY}@127.0.0.1:1/db"}
    done = subprocess.run(
        [sys.executable, "-m", "nightlatch", *arguments], env=environment, capture_output=True, text=True
    )
    assert CANARY not in done.stdout + done.stderr
