"""One server and one browser on each kind of database, shared by all stories."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.accounts import Accounts
from tests.conftest import DATABASES, Database, need, new_database
from tests.console.browsing import CHROMIUM, Browsing, start_chromium
from tests.serving import Serving


@pytest.fixture(scope="package", params=DATABASES)
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Database:
    return new_database(request.param, request, tmp_path_factory.mktemp("database"))


@pytest.fixture(scope="package")
def accounts(database: Database) -> Iterator[Accounts]:
    made = Accounts(database.url)
    yield made
    made.close()


@pytest.fixture(scope="package")
def server(
    database: Database, accounts: Accounts, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Serving]:
    log = tmp_path_factory.mktemp("server") / "log"
    serving = Serving(database.url, log, workers=2, use_flush_seconds=0.2).wait_ready()
    yield serving
    assert serving.stop() == 0


@pytest.fixture(scope="package")
def chromium(database: Database) -> Iterator[Browser]:
    """Ends before the next database begins: its event loop is the thread's only one."""
    need(Path(CHROMIUM).exists(), "Debian's chromium")
    with sync_playwright() as playwright:
        browser = start_chromium(playwright)
        yield browser
        browser.close()


@pytest.fixture
def browsing(chromium: Browser, server: Serving) -> Iterator[Browsing]:
    """Windows on the server, whose pages have complained of nothing when the test ends."""
    windows = Browsing(chromium, server)
    yield windows
    windows.close()
    assert not windows.complaints


@pytest.fixture(params=[True, False], ids=["script", "no script"])
def either(request: pytest.FixtureRequest, browsing: Browsing) -> Page:
    """A window with JavaScript, and one without."""
    return browsing.window(script=request.param)


@pytest.fixture
def page(browsing: Browsing) -> Page:
    """A window with JavaScript."""
    return browsing.window()
