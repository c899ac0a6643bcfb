"""What the console's pages hold: every one of `console_preview`, in every language."""

import io
import re
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from playwright.sync_api import sync_playwright

from nightlatch.console.assets import DIRECTORY, PATH, find_asset
from nightlatch.console.language import LOCALE, Language, choose_language, languages
from nightlatch.console.render import Visit, render_page
from nightlatch.console.views.activity import ActivityQuery, read_activity_query
from nightlatch.console.views.charts import chart
from nightlatch.console.views.client import client_name
from nightlatch.console.views.messages import error_text
from nightlatch.console.views.moments import moment, relative
from nightlatch.console.views.organization import read_time_to_live
from nightlatch.console.views.password_again import password_again
from nightlatch.console.views.sign_in import SignIn
from nightlatch.console.views.tokens import ROWS, Meter, TokenState, choose_shown, read_token_query, token_row
from nightlatch.guard.password_rules import PasswordRules
from nightlatch.model.errors import InvalidValue, Throttled
from nightlatch.model.names import Email, OrganizationId, Role, UserId
from nightlatch.model.records import OrganizationSummary
from nightlatch.model.session import Session, SessionId
from nightlatch.model.standing import Identity
from tests.console_preview import CHROME, FIREFOX, NOW, as_file, pages, tokens

ENGLISH, GERMAN = languages()
CONSOLE = LOCALE.parent
PAGES = {
    f"{name}-{language.code}": (language, html) for language in languages() for name, html in pages(language)
}
CHROMIUM = "/usr/bin/chromium"


class _Elements(HTMLParser):
    """Every element of a page with its attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.inline = ""
        self._is_script = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))
        self._is_script = tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if self._is_script:
            self.inline += data.strip()

    def handle_endtag(self, tag: str) -> None:
        self._is_script = False


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_nothing_inline_nothing_from_outside_and_each_id_once(page: str) -> None:
    language, html = PAGES[page]
    assert html.startswith("<!doctype html>")
    elements = _Elements(html)
    assert not elements.inline
    ids = [attributes["id"] for _, attributes in elements.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in elements.found:
        assert tag not in ("style", "iframe", "object", "img", "base"), tag
        assert not [name for name in attributes if name == "style" or name.startswith("on")], attributes
        for name in ("href", "src", "action", "formaction"):
            if name in attributes:
                assert attributes[name].startswith(("/", "#content")), attributes
                assert not attributes[name].startswith("//")
            if attributes.get(name, "").startswith(PATH):
                assert find_asset(attributes[name].removeprefix(PATH)) is not None
        for name in ("for", "aria-labelledby", "aria-describedby", "data-copy"):
            if name in attributes:
                assert attributes[name] in ids, attributes
    assert elements.found[0] == ("html", {"lang": language.code})


def test_names_chosen_by_strangers_are_text_and_hide_nothing() -> None:
    html = PAGES["tokens-hostile-en"][1]
    assert "<script>alert" not in html
    assert "<img" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert not [text for text in html.replace("\n", "") if not text.isprintable()]
    assert html.count("(no name)") == 1
    assert "{{ 7*7 }} %(name)s" in html


def test_a_text_in_a_translated_sentence_is_escaped_and_harmless() -> None:
    html = PAGES["member-role-de"][1]
    assert "bob@example.com zum Eigentümer machen?" in html
    view = SignIn(problem="<b>\u202ehidden")
    assert "&lt;b&gt;\ufffdhidden" in render_page("sign_in.html", Visit(GERMAN), view=view)


def test_the_first_visit_weighs_little() -> None:
    assets = sum(len(file.read_bytes()) for file in DIRECTORY.iterdir())
    assert len(PAGES["tokens-de"][1].encode("utf-8")) + assets <= 70 * 1024


def test_an_asset_of_another_version_is_not_there() -> None:
    assert find_asset("console.css") is None
    assert find_asset("console-0000000000000000.css") is None
    assert find_asset("../render.py") is None


# Languages


def _catalog(language: str) -> Any:
    with (LOCALE / language / "LC_MESSAGES" / "nightlatch.po").open("rb") as file:
        return read_po(file, locale=language)


def test_every_text_is_translated() -> None:
    catalog = _catalog("de")
    keywords = {"_": None, "gettext": None, "ngettext": (1, 2), "n": (1, 2), "_message": None}
    methods = [("**.py", "python"), ("**/templates/*.html", "jinja2")]
    options = {"**/templates/*.html": {"trimmed": "true", "silent": "false"}}
    texts = [found[2] for found in extract_from_dir(str(CONSOLE), methods, options, keywords=keywords)]
    assert len(texts) > 200
    for text in texts:
        message = catalog.get(text)
        assert message is not None, text
        assert not message.fuzzy, text
        translations = message.string if isinstance(message.string, tuple) else (message.string,)
        originals = text if isinstance(text, tuple) else (text,)
        for translated in translations:
            assert translated, text
            assert _placeholders(translated) == _placeholders(originals[-1])


def _placeholders(text: str) -> list[str]:
    return sorted(re.findall(r"%\(\w+\)s|\{n\}|<a [^>]*>", text))


def test_the_compiled_translation_is_that_of_the_source() -> None:
    written = io.BytesIO()
    write_mo(written, _catalog("de"))
    assert (LOCALE / "de" / "LC_MESSAGES" / "nightlatch.mo").read_bytes() == written.getvalue()


@pytest.mark.parametrize(
    ("chosen", "accepted", "code"),
    [
        (None, None, "en"),
        (None, "de-AT,de;q=0.9,en;q=0.8", "de"),
        (None, "fr, en;q=0.2, de;q=0.7", "de"),
        (None, "de;q=0, en;q=0.1", "en"),
        (None, "de;q=x,;;,=,", "en"),
        ("en", "de", "en"),
        ("../../etc", "de", "de"),
    ],
)
def test_a_choice_wins_else_the_browser_tells(chosen: str | None, accepted: str | None, code: str) -> None:
    assert choose_language(chosen, accepted).code == code


def test_a_page_in_another_language_is_the_same_page() -> None:
    here = "/console/invitation/?link=nli_x&language=en"
    html = render_page("sign_in.html", Visit(ENGLISH, here), view=SignIn())
    assert 'href="/console/invitation/?link=nli_x&amp;language=de"' in html
    assert "language=de" not in render_page("sign_in.html", Visit(ENGLISH), view=SignIn())


@pytest.mark.parametrize(
    "password",
    [
        "",
        "short",
        "a\u0007" * 8,
        "x" * 5000,
        "nlp_" + "a" * 49,
        "ann@example.com",
        "acme streams",
        "password1234",
    ],
)
def test_every_reason_against_a_password_is_translated(password: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        PasswordRules(8).check(
            password, Email("ann@example.com"), [OrganizationSummary(OrganizationId("acme"), "Acme Streams")]
        )
    assert error_text(ENGLISH, caught.value) == caught.value.public
    assert error_text(GERMAN, caught.value).startswith(("Das Passwort", "Ein Link"))


def test_other_errors_are_sentences() -> None:
    assert error_text(GERMAN, Throttled(1, "")).endswith("in 1 Sekunde noch einmal.")
    assert error_text(ENGLISH, Throttled(1200, "")).endswith("in 1,200 seconds.")
    assert error_text(GERMAN, InvalidValue("x", "100% unknown")) == "100% unknown"


# Lists


def test_a_token_is_idle_after_fourteen_days_and_expiring_three_days_before() -> None:
    token = replace(tokens()[0], last_used=NOW - timedelta(days=14), expiry=NOW + timedelta(days=3))
    assert token_row(ENGLISH, token, NOW).is_idle
    assert token_row(ENGLISH, token, NOW).is_expiring
    later = replace(
        token, last_used=NOW - timedelta(days=14, seconds=-1), expiry=NOW + timedelta(days=3, seconds=1)
    )
    assert not token_row(ENGLISH, later, NOW).is_idle
    assert not token_row(ENGLISH, later, NOW).is_expiring
    unused = replace(token, last_used=None, created=NOW - timedelta(days=13), expiry=None)
    assert not token_row(ENGLISH, unused, NOW).is_idle
    assert token_row(ENGLISH, replace(unused, created=NOW - timedelta(days=15)), NOW).is_idle
    assert not token_row(ENGLISH, unused, NOW).is_expiring


@pytest.mark.parametrize("key", ["used", "name", "user", "created", "expiry"])
def test_tokens_are_sorted_both_ways_with_none_at_an_end(key: str) -> None:
    ups = choose_shown(tokens(), read_token_query({"sort": key}), NOW).shown
    downs = choose_shown(tokens(), read_token_query({"sort": f"-{key}"}), NOW).shown
    assert len(ups) == len(tokens())
    assert ups == downs[::-1]
    if key == "used":
        assert ups[0].last_used is None
    if key in ("expiry", "name"):
        assert not getattr(ups[-1], key)


def test_tokens_are_found_by_any_of_their_texts() -> None:
    def found(**query: str) -> list[str]:
        return [token.name for token in choose_shown(tokens(), read_token_query(query), NOW).shown]

    assert found(q="GRAFANA") == ["grafana"]
    assert found(q="192.0.2.13") == ["warehouse sync"]
    assert found(q=tokens()[4].id) == ["ann's laptop"]
    assert {
        token.email
        for token in choose_shown(tokens(), read_token_query({"user": "Bob@Example.com"}), NOW).shown
    } == {"bob@example.com"}
    assert found(q="%", state="idle") == []
    assert len(found(state="idle")) == 5


def test_what_is_unusable_in_a_query_counts_as_not_given() -> None:
    assert read_token_query({"sort": "; drop", "state": "x", "page": "9" * 5000}) == read_token_query({})
    assert read_token_query({"page": "²"}).page == 1
    assert (
        read_activity_query({"kind": "x", "since": "2026-13-01", "until": "9999-12-31", "page": "-1"})
        == ActivityQuery()
    )


def test_a_page_of_tokens_is_bounded_and_the_last_one_is_the_last() -> None:
    many = tuple(replace(tokens()[0], id=f"{place:012d}") for place in range(3 * ROWS + 1))  # type: ignore[arg-type]
    chosen = choose_shown(many, read_token_query({"page": "99"}), NOW)
    assert (chosen.page, chosen.pages, len(chosen.shown), chosen.all) == (4, 4, 1, len(many))


def test_a_link_keeps_what_was_asked_for_and_begins_at_page_one() -> None:
    query = read_token_query({"q": "a&b=<", "user": "x@y", "page": "3", "sort": "name"})
    assert query.url() == "/console/tokens/?q=a%26b%3D%3C&user=x%40y&sort=name"
    assert query.url(page=2).endswith("&page=2")
    assert query.url(text="", user="", sort="-used") == "/console/tokens/"
    assert query.url(state=TokenState.IDLE).startswith("/console/tokens/?q=a%26b%3D%3C&user=x%40y&state=idle")


def test_activity_of_a_day_is_that_of_the_whole_day() -> None:
    asked = read_activity_query({"since": "2026-11-20", "until": "2026-11-20", "user": " Ann@Example.com "})
    wanted = asked.filter(OrganizationId("acme"))
    assert wanted.since is not None
    assert wanted.until is not None
    assert wanted.until - wanted.since == timedelta(days=1)
    assert (wanted.email, wanted.organization_id) == ("ann@example.com", "acme")


@pytest.mark.parametrize(
    ("used", "limit", "level", "filled"),
    [
        (0, 20, "fine", 0),
        (15, 20, "fine", 75),
        (16, 20, "near", 80),
        (20, 20, "full", 100),
        (31, 20, "full", 100),
        (0, 0, "full", 100),
        (1, 1000, "fine", 1),
    ],
)
def test_the_meter_warns_before_the_limit(used: int, limit: int, level: str, filled: int) -> None:
    assert (Meter(used, limit).level, Meter(used, limit).filled) == (level, filled)


# Small things


@pytest.mark.parametrize(
    ("seconds", "english", "german"),
    [
        (0, "just now", "gerade eben"),
        (-60, "1 minute ago", "vor 1 Minute"),
        (-7199, "1 hour ago", "vor 1 Stunde"),
        (-3 * 86400, "3 days ago", "vor 3 Tagen"),
        (-400 * 86400, "13 months ago", "vor 13 Monaten"),
        (30, "in less than a minute", "in weniger als einer Minute"),
        (2 * 86400, "in 2 days", "in 2 Tagen"),
        (3650 * 86400, "in 10 years", "in 10 Jahren"),
    ],
)
def test_times_in_words(seconds: int, english: str, german: str) -> None:
    assert relative(ENGLISH, timedelta(seconds=seconds)) == english
    assert relative(GERMAN, timedelta(seconds=seconds)) == german


def test_an_exact_time_says_its_zone() -> None:
    shown = moment(ENGLISH, NOW, NOW)
    assert (shown.machine, shown.exact) == ("2026-11-26T09:30:00Z", "2026-11-26 09:30 UTC")


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        ("", ""),
        ("curl/8.5.0", "curl 8.5"),
        (FIREFOX, "Firefox 140, Linux"),
        (CHROME, "Chrome 142, Windows"),
        (f"{CHROME} Edg/142.0", "Edge 142, Windows"),
        ("Go-http-client/1.1", "Go-http-client 1.1"),
        ("x" * 3000, "x" * 40),
        ("((((" * 1000, "(" * 40),
    ],
)
def test_a_program_has_a_short_name(user_agent: str, name: str) -> None:
    assert client_name(user_agent) == name


def test_a_chart_shows_every_use_and_says_it_in_words() -> None:
    drawn = chart(ENGLISH, NOW.date() - timedelta(days=29), [0] * 28 + [1, 40000], 40)
    assert drawn.path == "M114 40v-2M118 40v-40"
    assert drawn.words == "40,001 in 30 days, most on 2026-11-26: 40,000"
    assert chart(ENGLISH, NOW.date(), [0] * 30, 40).path == ""


def test_the_password_is_asked_again_after_ten_minutes() -> None:
    identity = Identity(OrganizationId("acme"), UserId(1), Email("ann@example.com"), Role.OWNER)
    session = Session(SessionId("x"), b"", identity, "Acme", NOW, NOW - timedelta(minutes=10), NOW, NOW)
    assert not password_again(session).is_needed
    assert password_again(replace(session, now=NOW + timedelta(seconds=1))).is_needed


def test_a_time_to_live_is_read_from_number_and_unit() -> None:
    assert read_time_to_live(" 30 ", "days") == 2592000
    assert [read_time_to_live(text, "days") for text in ("", "-1", "1.5", "²", "9" * 13)] == [None] * 5
    assert read_time_to_live("1", "years") is None


# In a browser


@pytest.mark.slow
@pytest.mark.parametrize("language", languages(), ids=lambda language: language.code)
def test_axe_finds_nothing_and_no_page_is_wider_than_the_screen(language: Language, tmp_path: Path) -> None:
    import axe_playwright_python  # type: ignore[import-untyped]

    axe = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text("utf-8")
    wide: dict[str, Any] = {}
    found: dict[str, Any] = {}
    problems: list[object] = []
    for name, html in pages(language):
        (tmp_path / f"{name}.html").write_text(as_file(html), "utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for width, scheme in ((1200, "light"), (1200, "dark"), (820, "light"), (360, "light")):
            if scheme == "dark" and language is not ENGLISH:
                continue  # the same texts, in other colours
            context = browser.new_context(viewport={"width": width, "height": 700}, color_scheme=scheme)  # type: ignore[arg-type]
            page = context.new_page()
            page.on("pageerror", lambda error: problems.append(error))
            for file in sorted(tmp_path.glob("*.html")):
                page.goto(file.as_uri())
                if page.evaluate("document.documentElement.scrollWidth") > width:
                    wide[f"{file.stem} {width}"] = page.evaluate("document.documentElement.scrollWidth")
                if width != 820 and language is ENGLISH:
                    page.evaluate(axe)
                    violations = page.evaluate("axe.run().then(result => result.violations)")
                    for each in violations:
                        found[f"{file.stem} {width} {scheme} {each['id']}"] = [
                            node["html"][:200] for node in each["nodes"][:3]
                        ]
        browser.close()
    assert not problems
    assert not wide
    assert not found


@pytest.mark.slow
def test_the_script_adds_times_of_the_zone_a_count_of_what_is_chosen_and_buttons_to_copy(
    tmp_path: Path,
) -> None:
    for name, html in pages(GERMAN):
        (tmp_path / f"{name}.html").write_text(as_file(html), "utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(timezone_id="Asia/Tokyo")
        page = context.new_page()
        page.goto((tmp_path / "tokens.html").as_uri())
        time = page.locator("time").first
        assert "26. Nov. 2026, 18:27" in (time.text_content() or "")
        assert not page.get_by_role("button", name="Ausgewählte beenden").is_enabled()
        page.get_by_label("nightly export").check()
        assert page.get_by_text("1 ausgewählt").is_visible()
        page.get_by_label("Alle auf dieser Seite auswählen").check()
        assert page.get_by_text("17 ausgewählt").is_visible()
        assert page.get_by_role("button", name="Ausgewählte beenden").is_enabled()
        page.goto((tmp_path / "token-created.html").as_uri())
        assert page.get_by_role("button", name="Kopieren").first.is_visible()  # that it copies: console/
        page.locator("label[for=tab-php]").click()
        assert page.locator("#code-php").is_visible()

        page = browser.new_context(java_script_enabled=False).new_page()
        page.goto((tmp_path / "tokens.html").as_uri())
        assert "2026-11-26 09:27 UTC" in (page.locator("time").first.text_content() or "")
        assert page.get_by_role("button", name="Ausgewählte beenden").is_enabled()
        assert not page.get_by_label("Alle auf dieser Seite auswählen").is_visible()
        page.goto((tmp_path / "token-created.html").as_uri())
        assert page.get_by_role("button", name="Kopieren").count() == 0
        page.locator("label[for=tab-python]").click()
        assert page.locator("#code-python").is_visible()
        browser.close()
