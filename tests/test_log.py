"""Log lines are one line each, hold no value that an error was about, and wait for nobody."""

import fcntl
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.accounts import Accounts
from tests.serving import Serving
from tests.sockets import exchange, post_json, with_token

HOSTILE = (
    "a\r\nb",
    "a\nb",
    "a\rb",
    "\x1b[2J\x1b]0;title\x07",
    "\u2028\u2029\u0085",
    "\x7f\x9b1m",
    "\u202e\u200b",
    '"}\n{"event": "login"}',
    "\x00",
    "\ud800",
    "2026-01-01T00:00:00Z [info     ] login",
)
CANARY = "kanarienvogel-4711-geheimnis"

_SCRIPT = """
import json, logging, sys
import structlog
from nightlatch.log import configure_logging
from nightlatch.settings import load_settings

configure_logging(load_settings({"log_format": sys.argv[1]}, None, {}))
log = structlog.get_logger("nightlatch")

class HostileError(Exception):
    pass

def fail(text, canary):
    try:
        int(canary)
    except ValueError as error:
        raise HostileError(text + canary) from error

for text in json.loads(sys.argv[2]):
    log.info("event", value=text, deep={"key": [text]})
    logging.getLogger("library").warning("%s", text)
    try:
        fail(text, sys.argv[3])
    except HostileError:
        log.exception("failed", value=text)
        logging.getLogger("library").exception("failed")
"""


def _lines(log_format: str) -> tuple[str, int]:
    """What is written for the hostile texts, and how many events that were."""
    command = [sys.executable, "-c", _SCRIPT, log_format, json.dumps(HOSTILE), CANARY]
    done = subprocess.run(command, capture_output=True, check=True)
    return done.stderr.decode("utf-8"), 4 * len(HOSTILE)


def test_every_json_line_parses_whatever_it_tells() -> None:
    written, events = _lines("json")
    assert written.isascii()
    assert all(character.isprintable() or character == "\n" for character in written)
    lines = [json.loads(line) for line in written.splitlines()]
    assert len(lines) == events
    told = [line["value"] for line in lines if line["event"] == "event"]
    assert tuple(told) == HOSTILE
    assert CANARY not in written
    assert sum("HostileError" in line.get("exception", "") for line in lines) == 2 * len(HOSTILE)


def test_in_text_nothing_begins_a_line_or_commands_a_terminal() -> None:
    written, events = _lines("text")
    assert all(character.isprintable() or character == "\n" for character in written)
    # Lines of a traceback are indented, so that none of them passes for an event.
    begun = [line for line in written.split("\n") if line and not line.startswith("    ")]
    assert len(begun) == events
    assert CANARY not in written
    assert "HostileError" in written


def test_an_error_in_a_task_is_logged_without_its_message() -> None:
    script = f"""
import asyncio, gc
from nightlatch.log import configure_logging, log_loop_errors
from nightlatch.settings import load_settings

configure_logging(load_settings({{"log_format": "json"}}, None, {{}}))

async def fail():
    raise ValueError({CANARY!r})

async def main():
    log_loop_errors(asyncio.get_running_loop())
    task = asyncio.create_task(fail())
    await asyncio.sleep(0.01)
    del task
    gc.collect()

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True)
    assert "ValueError" in json.loads(done.stderr)["exception"]
    assert CANARY not in done.stderr


@pytest.mark.slow
def test_a_pipe_that_nobody_reads_holds_up_nothing(tmp_path: Path) -> None:
    accounts = Accounts(f"sqlite:///{tmp_path}/nightlatch.db")
    person = accounts.add_person(token_limit=1000)
    token = accounts.log_in(person)
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    serving = Serving(accounts.database_url, Path(f"/proc/self/fd/{writing}")).wait_ready(60)
    os.close(writing)
    try:
        for _ in range(40):  # much more than the pipe takes
            assert exchange(serving.port, "GET", "/api/v1/organizations/", with_token("x" * 9)).status == 401
        for _ in range(3):
            begun = time.monotonic()
            assert exchange(serving.port, "GET", "/api/auth/verify/", with_token(token)).status == 200
            assert exchange(serving.port, "GET", "/api/v1/organizations/", with_token(token)).status == 200
            assert post_json(serving.port, "/api/auth/login/", person.login_body).status == 200
            assert time.monotonic() - begun < 3
        # More than wait: they are dropped, and their number is told once somebody reads.
        for _ in range(60):
            exchange_many(serving.port, 100)
        deadline = time.monotonic() + 20
        while _dropped(serving.port) == 0:
            exchange_many(serving.port, 100)
            assert time.monotonic() < deadline
            time.sleep(0.1)
        os.set_blocking(reading, False)
        received = b""
        while b"log_lines_dropped" not in received:
            assert time.monotonic() < deadline
            exchange_many(serving.port, 1)
            try:
                received += os.read(reading, 65536)
            except BlockingIOError:
                time.sleep(0.01)
        for line in received.split(b"\n")[:-1]:
            json.loads(line)
    finally:
        assert serving.stop() == 0
        os.close(reading)
        accounts.close()


def exchange_many(port: int, requests: int) -> None:
    """So many refused requests over one connection."""
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    for _ in range(requests):
        connection.request("GET", "/api/v1/organizations/", headers={"Authorization": "Token x"})
        response = connection.getresponse()
        assert response.status == 401
        response.read()
    connection.close()


def _dropped(port: int) -> float:
    text = exchange(port, "GET", "/metrics").body.decode()
    (line,) = [line for line in text.splitlines() if line.startswith("nightlatch_log_lines_dropped_total ")]
    return float(line.split()[1])


@pytest.mark.slow
def test_a_full_disk_for_logs_holds_up_nothing(tmp_path: Path) -> None:
    accounts = Accounts(f"sqlite:///{tmp_path}/nightlatch.db")
    person = accounts.add_person()
    serving = Serving(accounts.database_url, Path("/dev/full")).wait_ready(60)
    try:
        token = post_json(serving.port, "/api/auth/login/", person.login_body).json["token"]
        assert exchange(serving.port, "GET", "/api/auth/verify/", with_token(token)).status == 200
        assert exchange(serving.port, "POST", "/api/auth/logout/", with_token(token)).status == 204
        deadline = time.monotonic() + 10
        while _dropped(serving.port) < 2:  # the login's line and the logout's
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        assert serving.stop() == 0
        accounts.close()
