"""What the middleware costs a request: each framework bare, with both back ends; and knox beside DRF.

Requests per second of a trivial view on one worker, to the same view without authentication on the same
framework. Over HTTP the server of Nightlatch shares the core with the API. knox has an SQLite file of its
own, whatever the database of Nightlatch is, and one token. 32 connections, 1,000 tokens in turn, so that
over HTTP (almost) no question is shared by several requests.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

from bench.databases import Database, accounts_on
from bench.guarded import DATABASE_URL, PATH, URL
from bench.load import Answers, ask
from bench.options import Options
from bench.report import print_table
from bench.rounds import Rounds, measure_in_turn
from bench.servers import VERIFY, granian, nightlatch

CONNECTIONS: Final = 32
TOKENS: Final = 1_000
FRAMEWORKS: Final = {"asgi": "asgi", "fastapi": "asgi", "flask": "wsgi", "drf": "wsgi"}

Asked = Callable[[int], Answers]


def measure(database: Database, options: Options) -> dict[str, Any]:
    """Summaries by framework and back end."""
    with accounts_on(database) as accounts:
        person = accounts.add_person(token_limit=TOKENS)
        tokens = database.folder / "tokens"
        tokens.write_text("".join(f"Token {accounts.log_in(person)}\n" for _ in range(TOKENS)))
    result = {}
    with nightlatch(database) as server:
        back_ends = {
            "bare": {},
            "in process": {DATABASE_URL: database.url},
            "over HTTP": {URL: f"http://127.0.0.1:{server.port}"},
        }
        for framework, interface in FRAMEWORKS.items():
            with ExitStack() as stack:
                asked: dict[str, Asked] = {}
                for name, environment in back_ends.items():
                    folder = database.folder / f"{framework} {name}"
                    folder.mkdir()
                    port = stack.enter_context(
                        granian(
                            f"bench.guarded.on_{framework}:app",
                            folder,
                            interface=interface,
                            environment=environment,
                        )
                    )
                    asked[name] = _asking(port, PATH, tokens)
                if framework == "drf":
                    asked["knox"] = _knox(database, stack)
                seen = measure_in_turn(asked, options.rounds, options.seconds)
            print_table(f"{framework}, {CONNECTIONS} connections, one core", Rounds.columns(), seen.rows())
            result[framework] = {name: seen.summary(name) for name in seen.seen}
    return result


def _asking(port: int, path: str, tokens: Path) -> Asked:
    return partial(_ask, f"http://127.0.0.1:{port}{path}", tokens)


def _ask(url: str, tokens: Path, seconds: int) -> Answers:
    return ask(url, CONNECTIONS, seconds, tokens=tokens)


def _knox(database: Database, stack: ExitStack) -> Asked:
    environment = {"BENCH_KNOX_FILE": str(database.folder / "knox.db")}
    made = subprocess.run(
        [sys.executable, "-m", "bench.rivals.knox_service"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    port = stack.enter_context(
        granian(
            "bench.rivals.knox_service:application",
            database.folder,
            interface="wsgi",
            environment=environment,
        )
    )
    token = database.folder / "knox token"
    token.write_text(f"Token {made.stdout.strip()}\n")
    return _asking(port, VERIFY, token)
