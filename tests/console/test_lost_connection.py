"""The connection, the server or the database is lost in the middle: nothing is lost with it."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Error, Page, expect

from tests.accounts import Accounts
from tests.conftest import DATABASES, Database
from tests.console.browsing import Browsing, arrived, press, says, sign_in, verdicts, visit
from tests.console_people import token_id
from tests.cutting_proxy import CuttingProxy
from tests.serving import Serving

pytestmark = pytest.mark.slow


@pytest.fixture
def fragile(database: Database, accounts: Accounts, tmp_path: Path) -> Iterator[Serving]:
    """A server of the test's own."""
    serving = Serving(database.url, tmp_path / "log", workers=2).wait_ready()
    yield serving
    serving.stop()


@pytest.fixture
def window(chromium: Browser, fragile: Serving) -> Iterator[Page]:
    windows = Browsing(chromium, fragile)
    yield windows.window(watched=False)
    windows.close()


def kill(serving: Serving) -> None:
    """All its processes, as the loss of power would."""
    for pid in serving.worker_pids():
        os.kill(pid, signal.SIGKILL)
    serving.kill()


def test_what_was_sent_without_a_connection_is_sent_by_loading_the_page_again(
    page: Page, accounts: Accounts
) -> None:
    owner = accounts.add_person()
    sign_in(page, owner)
    page.goto("/console/tokens/new/")
    page.get_by_label("Name").fill("nightly export")
    page.context.set_offline(True)
    with suppress(Error):
        press(page, "Make token")
    page.wait_for_url("chrome-error://**")
    page.context.set_offline(False)
    page.reload()
    arrived(page, "Your new token")
    expect(page.get_by_role("heading", level=2).first).to_have_text("nightly export")
    assert accounts.live_tokens(owner.organization_id) == 1


def test_a_server_that_stops_and_comes_back_goes_on_with_the_same_session(
    window: Page, fragile: Serving, accounts: Accounts
) -> None:
    owner = accounts.add_person()
    token = accounts.log_in(owner, "nightly export")
    sign_in(window, owner)
    visit(window, f"/console/tokens/end/?id={token_id(token)}")
    kill(fragile)
    with suppress(Error):
        press(window, "End 1 token")
    window.wait_for_url("chrome-error://**")
    assert accounts.live_tokens(owner.organization_id) == 1
    fragile.restart()
    fragile.wait_ready()
    window.go_back()
    press(window, "End 1 token")
    arrived(window, "1 token has ended")
    assert verdicts(fragile, token) == {401}


def test_killed_while_it_ends_a_token_the_next_try_tells_the_truth(
    window: Page, fragile: Serving, accounts: Accounts
) -> None:
    owner = accounts.add_person()
    token = accounts.log_in(owner, "nightly export")
    sign_in(window, owner)
    visit(window, f"/console/tokens/end/?id={token_id(token)}")
    window.evaluate("document.querySelector('main form').requestSubmit()")
    kill(fragile)
    fragile.restart()
    fragile.wait_ready()
    has_ended = accounts.live_tokens(owner.organization_id) == 0
    assert verdicts(fragile, token) == {401 if has_ended else 200}
    visit(window, f"/console/tokens/end/?id={token_id(token)}")
    if has_ended:
        arrived(window, "Nothing to end")
    else:
        press(window, "End 1 token")
        arrived(window, "1 token has ended")
    assert verdicts(fragile, token) == {401}


@pytest.mark.parametrize(
    "database", [kind for kind in DATABASES if kind != "sqlite"], indirect=True, scope="package"
)  # there is no connection to an SQLite file
def test_without_the_database_a_page_says_so(
    database: Database, accounts: Accounts, chromium: Browser, tmp_path: Path
) -> None:
    port = urlsplit(database.url).port
    assert port is not None
    proxy = CuttingProxy(port)
    url = database.url.replace(f":{port}/", f":{proxy.port}/") + "?sslmode=disable"
    serving = Serving(url, tmp_path / "log", workers=2).wait_ready()
    windows = Browsing(chromium, serving)
    try:
        page = windows.window()
        sign_in(page, accounts.add_person())
        proxy.close()
        answer = visit(page, "/console/tokens/")
        assert (answer.status, "retry-after" in answer.headers) == (503, True)
        arrived(page, "Not possible at the moment")
        says(page, "look first whether it has happened")
    finally:
        windows.close()
        serving.stop()
    assert not windows.complaints
