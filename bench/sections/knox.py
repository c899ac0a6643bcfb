"""django-rest-knox on the same granian with one worker, to the same bare server; only when asked for."""

import os
import subprocess
import sys
from importlib.util import find_spec
from typing import Any, Final

from bench.databases import Database
from bench.load import Answers, ask
from bench.options import Options
from bench.report import print_table
from bench.rounds import Rounds, measure_in_turn
from bench.servers import VERIFY, granian

CONNECTIONS: Final = 32
_PACKAGES: Final = ("django", "djangorestframework", "django-rest-knox")
_MODULES: Final = ("django", "rest_framework", "knox")


def measure(database: Database, options: Options) -> dict[str, Any]:
    """Its rate to the bare server's; nothing where it is not installed."""
    if any(find_spec(module) is None for module in _MODULES):
        print(
            "\nNot installed, thus not measured. To measure it:\n"
            f"    python3 -m pip --python .venv/bin/python install {' '.join(_PACKAGES)}"
        )
        return {}
    environment = {"BENCH_KNOX_FILE": str(database.folder / "knox.db")}
    made = subprocess.run(
        [sys.executable, "-m", "bench.rivals.knox_service"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    header = f"Authorization: Token {made.stdout.strip()}"

    def asked(port: int, seconds: int) -> Answers:
        return ask(f"http://127.0.0.1:{port}{VERIFY}", CONNECTIONS, seconds, [header])

    with (
        granian("bench.baseline:bare_application", database.folder) as bare,
        granian(
            "bench.rivals.knox_service:application",
            database.folder,
            interface="wsgi",
            environment=environment,
        ) as knox,
    ):
        seen = measure_in_turn(
            {"bare": lambda seconds: asked(bare, seconds), "knox": lambda seconds: asked(knox, seconds)},
            options.rounds,
            options.seconds,
        )
    print_table(f"django-rest-knox at {CONNECTIONS} connections", Rounds.columns(), seen.rows())
    return {name: seen.summary(name) for name in seen.seen}
