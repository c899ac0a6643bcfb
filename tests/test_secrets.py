"""No secret leaves the process but in the one answer that makes it."""

import base64
import json
import sqlite3
from pathlib import Path

import pytest

from nightlatch.model.names import OrganizationId
from nightlatch.usecases.set_password import set_password
from tests.accounts import Accounts, Person
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
