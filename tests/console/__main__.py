"""Pictures of every page, and how soon each is seen: python -m tests.console --help.

The pages are a real server's, of a made-up organization with 20 tokens and 10,000 events.
"""

import argparse
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

from playwright.sync_api import Browser, sync_playwright

from tests.accounts import Accounts
from tests.console.browsing import Browsing, sign_in, start_chromium
from tests.console.made_up import Made, make_up
from tests.console.pages import PAGES, walk
from tests.postgresql import PostgresqlServer, embedded_installation
from tests.serving import Serving

PUBLIC_URL: Final = "https://auth.northwind.example"
LOOKS: Final = {"light": (1120, 900), "dark": (1120, 900), "narrow": (360, 1200)}
"""How wide, and how much of a page's height is kept."""
TIMES: Final = 10
PAINT_MS_MAX: Final = 300
FIRST_PAINT: Final = """() => new Promise((done) => {
  const look = () => {
    const [paint] = performance.getEntriesByName("first-paint");
    if (paint) done(paint.startTime); else requestAnimationFrame(look);
  };
  look();
})"""


@contextmanager
def served(url: str, folder: Path, tokens: int) -> Iterator[tuple[Serving, Made]]:
    """A server with that organization."""
    accounts = Accounts(url)
    made = make_up(accounts, tokens)
    serving = Serving(url, folder / "log", workers=2, public_url=PUBLIC_URL).wait_ready()
    try:
        yield serving, made
    finally:
        serving.stop()
        accounts.close()


def take_pictures(browser: Browser, directory: Path) -> None:
    """Of every page in every look; each look has a server of its own, since some pages change something."""
    for look, (width, height) in LOOKS.items():
        # 19: one is made for a picture, and 20 is the limit.
        with (
            tempfile.TemporaryDirectory() as folder,
            served(f"sqlite:///{folder}/nightlatch.db", Path(folder), 19) as (server, made),
        ):
            scheme: Literal["light", "dark"] = "dark" if look == "dark" else "light"
            page = Browsing(browser, server).window(
                color_scheme=scheme, viewport={"width": width, "height": 640}, locale="en-GB"
            )
            for each in walk(page, made):
                page.mouse.move(0, 0)
                whole = page.evaluate("document.documentElement.scrollHeight")
                file = directory / f"{each.name}-{look}.png"
                clip: Any = {"x": 0, "y": 0, "width": width, "height": min(whole, height)}
                page.screenshot(path=file, full_page=True, clip=clip, animations="disabled")
                print(f"{file} {file.stat().st_size // 1024} KiB")
            page.context.close()


def measure(browser: Browser, server: Serving, made: Made) -> dict[str, float]:
    """Milliseconds from the click to the first paint, by page: the median of first visits."""
    windows = Browsing(browser, server)
    door = windows.window()
    sign_in(door, made.owner)
    cookies: Any = door.context.cookies()
    found = {}
    for each in PAGES:
        if each.path is None:
            continue
        times = []
        for _ in range(TIMES):
            page = windows.window()
            if not each.is_open:
                page.context.add_cookies(cookies)
            page.goto(each.path(made))
            times.append(page.evaluate(FIRST_PAINT))
            page.context.close()
        found[each.name] = statistics.median(times)
    door.context.close()
    return found


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(prog="python -m tests.console", description=__doc__)
    parser.add_argument("--pictures", type=Path, metavar="DIRECTORY", help="write them there")
    parser.add_argument("--times", action="store_true", help="print first-paint times")
    chosen = parser.parse_args()
    postgresql = PostgresqlServer(embedded_installation()) if chosen.times else None
    try:
        urls = {} if postgresql is None else {"postgresql-18": postgresql.create_database()}
        with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
            browser = start_chromium(playwright)
            if chosen.pictures:
                chosen.pictures.mkdir(parents=True, exist_ok=True)
                take_pictures(browser, chosen.pictures)
            if chosen.times:
                for kind, url in {"sqlite": f"sqlite:///{folder}/nightlatch.db", **urls}.items():
                    with served(url, Path(folder), 20) as (server, made):
                        times = measure(browser, server, made)
                    print(f"first paint on {kind}, milliseconds, median of {TIMES} first visits:")
                    for name, milliseconds in times.items():
                        print(f"  {name:<14} {milliseconds:4.0f}")
                    print(
                        "  all below" if max(times.values()) < PAINT_MS_MAX else "  NOT all below",
                        PAINT_MS_MAX,
                    )
            browser.close()
    finally:
        if postgresql is not None:
            postgresql.remove()


if __name__ == "__main__":
    main()
