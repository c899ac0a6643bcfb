"""What holds for every page, with 20 tokens and 10,000 events: weight, queries, access, width."""

import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from importlib import resources
from typing import Any, cast

import pytest
from playwright.sync_api import Page, Response, expect

from nightlatch.app import built_services
from nightlatch.console.application import build_console
from nightlatch.console.cookies import SESSION
from nightlatch.model.names import Role
from nightlatch.settings import load_settings
from nightlatch.store.connection import Connection, Engine
from nightlatch.usecases.invite_member import invite_member
from nightlatch.usecases.sign_in import sign_in as begin_session
from tests.accounts import CHEAP_HASH, Accounts
from tests.console.browsing import Browsing, arrived, follow, press, sign_in, visit
from tests.console.made_up import Made, make_up
from tests.console.pages import PAGES, Shown, walk
from tests.console_people import ORIGIN, signed_in

pytestmark = pytest.mark.slow
AXE = (resources.files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
WEIGHT_MAX = 100 * 1024
QUERIES_MAX = 3


@pytest.fixture(scope="module")
def made(accounts: Accounts) -> Made:
    """As the pages of this module find it; those that change something take a fresh one."""
    return make_up(accounts, email=f"ann.{secrets.token_hex(4)}@northwind.example")


def shown_pages() -> list[Shown]:
    """Those that one address leads to."""
    return [each for each in PAGES if each.path is not None]


def test_no_page_has_a_fault_that_axe_calls_serious_light_or_dark(
    browsing: Browsing, accounts: Accounts
) -> None:
    found: dict[str, Any] = {}
    looks = [("light", 1200), ("dark", 1200), ("light", 360)]
    for scheme, width in looks:
        page = browsing.window(color_scheme=scheme, viewport={"width": width, "height": 700})
        # 19: one more is made.
        made = make_up(accounts, 19, 200, f"ann.{secrets.token_hex(4)}@northwind.example")
        for each in walk(page, made):
            page.evaluate(AXE)
            violations = page.evaluate("axe.run().then(result => result.violations)")
            for fault in violations:
                if fault["impact"] in ("serious", "critical"):
                    found[f"{each.name} {scheme} {width} {fault['id']}"] = fault["nodes"][0]["html"][:200]
            wide = page.evaluate("document.documentElement.scrollWidth")
            if wide > width:
                found[f"{each.name} {width}"] = f"{wide} wide"
    assert not found


def _keep(answers: list[Response], answer: Response) -> None:
    answers.append(answer)


def test_a_first_visit_weighs_at_most_100_kib(browsing: Browsing, made: Made) -> None:
    weights = {}
    door = browsing.window()
    sign_in(door, made.owner)
    cookies = cast(Any, door.context.cookies())
    for each in shown_pages():
        page = browsing.window()
        if not each.is_open:
            page.context.add_cookies(cookies)
        answers: list[Response] = []
        page.on("response", partial(_keep, answers))
        each.open(page, made)
        page.wait_for_load_state("networkidle")
        assert len(answers) >= 3
        sizes = [answer.request.sizes() for answer in answers]
        weights[each.name] = sum(size["responseBodySize"] + size["responseHeadersSize"] for size in sizes)
    assert max(weights.values()) <= WEIGHT_MAX, weights
    assert min(weights.values()) > 20 * 1024, weights


class _Counted:
    """An engine that counts the statements run on it."""

    def __init__(self, engine: Engine, statements: list[str]) -> None:
        self._engine = engine
        self._statements = statements

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Connection]:
        async with self._engine.connect() as connection:
            yield cast(Connection, _CountedConnection(connection, self._statements))

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Connection]:
        async with self._engine.begin() as connection:
            yield cast(Connection, _CountedConnection(connection, self._statements))


class _CountedConnection:
    def __init__(self, connection: Connection, statements: list[str]) -> None:
        self._connection = connection
        self._statements = statements

    def __getattr__(self, name: str) -> Any:
        if name != "dialect":
            self._statements.append(f"{name}, without execute")
        return getattr(self._connection, name)

    async def execute(self, statement: Any, parameters: Any = None) -> Any:
        self._statements.append(type(statement).__name__)
        return await self._connection.execute(statement, parameters)


@pytest.fixture
def statements_of(accounts: Accounts) -> Iterator[Callable[[str, str], list[str]]]:
    """The statements that are run before a page is answered, of a console in this process."""
    statements: list[str] = []
    settings = load_settings({"database_url": accounts.database_url, **CHEAP_HASH}, None, {})
    engines = replace(
        accounts.engines,
        reading=_Counted(accounts.engines.reading, statements),
        writing=_Counted(accounts.engines.writing, statements),
    )
    stack = AsyncExitStack()
    services = accounts.run(stack.enter_async_context(built_services(settings, engines)))
    console = build_console(services, None, None)

    def ask(path: str, cookie: str) -> list[str]:
        answered: list[list[str]] = []
        status = 0

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                # What comes after it nobody waits for.
                answered.append(list(statements))

        path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(b"host", b"localhost"), (b"cookie", f"{SESSION}={cookie}".encode())],
            "scheme": "http",
            "server": ("localhost", 80),
            "client": ("127.0.0.1", 1),
            "http_version": "1.1",
            "root_path": "",
            "state": {},
        }
        statements.clear()

        async def run() -> None:
            await console(scope, receive, send)

        accounts.run(run())
        assert status in (200, 404), status
        return answered[0]

    yield ask
    accounts.run(stack.aclose())


def test_a_page_asks_the_database_three_times_at_most_whatever_it_shows(
    statements_of: Callable[[str, str], list[str]], accounts: Accounts, made: Made
) -> None:
    few = make_up(accounts, 1, 1, f"ann.{secrets.token_hex(4)}@northwind.example")
    counts: dict[str, tuple[int, ...]] = {}
    for each in (made, few):
        cookie = accounts.do(begin_session, each.owner.credentials, ORIGIN).reveal()
        session = signed_in(accounts, each.owner)
        link = accounts.do(
            invite_member, session, f"new.{secrets.token_hex(4)}@example.com", Role.MEMBER, ORIGIN
        )
        user_id = accounts.sql('SELECT id FROM "user" WHERE email = :email', email=each.owner.username)[0][0]
        invitation_id = accounts.sql(
            "SELECT id FROM invitation WHERE organization_id = :id", id=each.owner.organization_id
        )[0][0]
        paths = {shown.name: shown.path(each) for shown in PAGES if shown.path is not None}
        paths |= {
            action: f"/console/members/{user_id}/{action}/" for action in ("role", "remove", "password")
        }
        paths["withdraw"] = f"/console/members/invitations/{invitation_id}/withdraw/"
        paths["invitation"] = f"/console/invitation/?link={link.secret.reveal()}"
        paths["activity-narrowed"] = "/console/activity/?kind=login&page=2"
        paths["end-idle"] = "/console/tokens/end/?idle_days=1"
        paths["end-user"] = f"/console/tokens/end/?user={each.owner.username}"
        for name, path in paths.items():
            sent = "" if name == "sign-in" else cookie
            counts[name] = (*counts.get(name, ()), len(statements_of(path, sent)))
    assert len(counts) >= 15
    assert {name: numbers for name, numbers in counts.items() if max(numbers) > QUERIES_MAX} == {}
    assert {name: numbers for name, numbers in counts.items() if len(set(numbers)) != 1} == {}
    assert counts["tokens"][0] == 3


def focused(page: Page) -> str:
    """What has the focus: its name, and whether one sees so."""
    return cast(
        str,
        page.evaluate(
            """() => {
              const it = document.activeElement, style = getComputedStyle(it);
              const labelled = document.getElementById(it.getAttribute("aria-labelledby"));
              const label = (it.labels?.[0] || labelled)?.textContent || it.ariaLabel || it.textContent;
              const hasOutline = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1;
              const isSeen = hasOutline && it.getBoundingClientRect().width > 0;
              return it.tagName + ": " + label.trim() + (isSeen ? "" : " (not seen)");
            }"""
        ),
    )


def test_the_list_of_tokens_is_used_by_keyboard_and_one_sees_where_one_is(
    page: Page, accounts: Accounts
) -> None:
    owner = accounts.add_person()
    for name in ("one", "two"):
        accounts.log_in(owner, name)
    sign_in(page, owner)
    # Everything that a pointer reaches.
    reachable = page.locator("a:visible, button:visible:enabled, input:visible, select:visible").count()
    page.keyboard.press("Tab")
    assert focused(page) == "A: Skip to content"
    seen = [focused(page)]
    for _ in range(reachable * 2):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            break
        seen.append(focused(page))
    assert not [each for each in seen if each.endswith("(not seen)")]
    assert len(seen) >= reachable
    # Past the navigation, and end both.
    page.reload()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    for _ in range(40):
        page.keyboard.press("Tab")
        if focused(page) == "INPUT: Choose all on this page":
            break
    page.keyboard.press("Space")
    for _ in range(40):
        page.keyboard.press("Tab")
        if focused(page) == "BUTTON: End selected":
            break
    page.keyboard.press("Enter")
    arrived(page, "End 2 tokens?")
    page.get_by_role("button", name="End 2 tokens").focus()
    page.keyboard.press("Enter")
    arrived(page, "2 tokens have ended")


def test_an_address_that_is_none_is_a_page_with_a_way_out(page: Page, accounts: Accounts) -> None:
    sign_in(page, accounts.add_person())
    assert visit(page, "/console/nothing/").status == 404
    arrived(page, "There is no such page")
    follow(page, "To the console")
    arrived(page, "Tokens")
    press(page, "Sign out")
    expect(page.get_by_text("You are signed out.")).to_be_visible()
