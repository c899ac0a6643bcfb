"""The JavaScript client: its types, its own tests, and against real servers on Node and in Chromium."""

import json
import shutil
import stat
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.accounts import Accounts, Person
from tests.conftest import need
from tests.serving import Serving

CLIENT = Path(__file__).parent.parent / "clients" / "js"
CHROMIUM = "/usr/bin/chromium"
pytestmark = pytest.mark.slow


def node(*arguments: str) -> str:
    need(shutil.which("node") is not None, "Debian's nodejs")
    run = subprocess.run(
        ["node", *arguments], cwd=CLIENT, capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def settings_of(server: Serving, person: Person) -> dict[str, Any]:
    return {
        "server": f"http://127.0.0.1:{server.port}",
        "username": person.username,
        "password": person.password,
        "organizationId": person.organization_id,
    }


def url_of(server: Serving) -> str:
    return f"http://127.0.0.1:{server.port}/api/v1/organizations/"


def logins(accounts: Accounts, person: Person) -> int:
    rows = accounts.sql(
        "SELECT count(*) FROM event WHERE kind = 'login' AND organization_id = :id", id=person.organization_id
    )
    return int(rows[0][0])


def end_tokens(accounts: Accounts, person: Person) -> None:
    accounts.sql("DELETE FROM token WHERE organization_id = :id", id=person.organization_id)


def test_its_types_hold(tmp_path: Path) -> None:
    need(shutil.which("npm") is not None, "Debian's npm")
    copy = tmp_path / "js"
    shutil.copytree(CLIENT, copy, ignore=shutil.ignore_patterns("node_modules"))
    for command in (["npm", "ci", "--no-audit", "--no-fund"], ["npm", "run", "check"], ["npm", "pack"]):
        run = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=120, check=False)
        assert run.returncode == 0, run.stdout + run.stderr
    assert (copy / "types" / "index.d.ts").exists()


def test_its_own_tests_pass() -> None:
    assert "# fail 0" in node("--test", "--test-reporter=tap", "test/token_auth.test.js")


@pytest.mark.parametrize("ended", [False, True], ids=["at the start", "when the token was ended"])
def test_processes_that_start_at_once_make_one_login(
    ended: bool, server: Serving, accounts: Accounts, tmp_path: Path
) -> None:
    person = accounts.add_person()
    asked = {**settings_of(server, person), "url": url_of(server), "folder": str(tmp_path), "requests": 20}
    if ended:
        node("test/process.js", json.dumps(asked))
        end_tokens(accounts, person)
    with ThreadPoolExecutor(8) as pool:
        outputs = list(pool.map(lambda _: node("test/process.js", json.dumps(asked)), range(8)))
    assert [int(output) for output in outputs] == [20] * 8
    assert logins(accounts, person) == 1 + ended
    assert accounts.live_tokens(person.organization_id) == 1
    kept = [path for path in tmp_path.iterdir() if path.suffix == ".json"]
    assert [stat.S_IMODE(path.stat().st_mode) for path in kept] == [0o600]
    assert person.password not in "".join(path.read_text() for path in kept)


def test_a_lock_whose_holder_was_killed_is_taken_over(
    server: Serving, accounts: Accounts, tmp_path: Path
) -> None:
    person = accounts.add_person()
    asked = {**settings_of(server, person), "url": url_of(server), "folder": str(tmp_path), "requests": 1}
    node("test/process.js", json.dumps(asked))
    (kept,) = tmp_path.iterdir()
    end_tokens(accounts, person)
    lock = tmp_path / f"{kept.name}.lock"
    lock.write_text("a killed process's")
    subprocess.run(["touch", "-d", "1 minute ago", str(lock)], check=True)
    assert int(node("test/process.js", json.dumps(asked))) == 1
    assert not lock.exists()


@pytest.fixture(scope="module")
def page_server() -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(CLIENT))) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()
        thread.join()


@pytest.fixture
def pages(page_server: str) -> Iterator[list[Page]]:
    need(Path(CHROMIUM).exists(), "Debian's chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context()
        tabs = [context.new_page() for _ in range(2)]
        for tab in tabs:
            tab.goto(f"{page_server}/test/page.html")
            tab.wait_for_function("window.ready")
        yield tabs
        browser.close()


def test_all_tabs_of_a_browser_share_one_token(
    pages: list[Page], server: Serving, accounts: Accounts
) -> None:
    person = accounts.add_person()
    start = """([settings, url]) => { window.answer = window.fetchTimes(settings, url, 20); return null }"""
    for ended in (0, 1):
        for tab in pages:
            tab.evaluate(start, [settings_of(server, person), url_of(server)])
        assert [tab.evaluate("() => window.answer") for tab in pages] == [20, 20]
        assert logins(accounts, person) == 1 + ended
        for tab in pages:
            tab.reload()
            tab.wait_for_function("window.ready")
        end_tokens(accounts, person)
