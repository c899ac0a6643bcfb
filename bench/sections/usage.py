"""What counting uses costs: verify's rate with it, to that of a server which keeps the last use only.

One worker of each on one core, on a database of its own, wrk on the other core. Uses are flushed each
second, five times as often as by default, so that each measurement has flushes in it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bench.databases import Database, accounts_on, new_database
from bench.fill import add_tokens, write_headers
from bench.load import Answers, ask
from bench.options import Options
from bench.report import print_table
from bench.rounds import Rounds, measure_in_turn
from bench.servers import VERIFY, nightlatch

CONNECTIONS: Final = 32
TOKENS: Final = 1_000
_OFF, _ON = "not counted", "counted"
_FLUSHED: Final[dict[str, Any]] = {"use_flush_seconds": 1}


def measure(database: Database, options: Options) -> dict[str, Any]:
    """The ratio of the rates, with one token and with a thousand in turn."""
    result: dict[str, Any] = {"tokens": TOKENS}
    rows: list[Any] = []
    asked = 0
    with new_database(database.kind) as other:
        off_files, on_files = (_headers(each) for each in (other, database))
        with (
            nightlatch(other, module="bench.uncounted", **_FLUSHED) as off,
            nightlatch(database, **_FLUSHED) as on,
        ):
            for name in ("one token", "many tokens"):
                seen = measure_in_turn(
                    {
                        _OFF: _asking(off.port, off_files[name]),
                        _ON: _asking(on.port, on_files[name]),
                    },
                    options.rounds,
                    options.seconds,
                )
                asked += sum(one.requests for one in seen.seen[_ON])
                rows += seen.rows(f"{name}, ")
                result[name] = {each: seen.summary(each) for each in seen.seen}
        # The servers have flushed what they had gathered.
        if _counted(other) != 0 or _counted(database) < asked:
            raise SystemExit(f"counted {_counted(other)} and {_counted(database)} of {asked} requests")
    print_table(
        f"Verify at {CONNECTIONS} connections, uses counted or not, one worker on one core",
        Rounds.columns(),
        rows,
    )
    return result


def _headers(database: Database) -> dict[str, Path]:
    tokens = add_tokens(database, TOKENS, TOKENS)
    return {
        "one token": write_headers(tokens[:1], database.folder / "one"),
        "many tokens": write_headers(tokens, database.folder / "many"),
    }


def _asking(port: int, headers: Path) -> Callable[[int], Answers]:
    url = f"http://127.0.0.1:{port}{VERIFY}"
    return lambda seconds: ask(url, CONNECTIONS, seconds, tokens=headers)


def _counted(database: Database) -> int:
    with accounts_on(database) as accounts:
        ((number,),) = accounts.sql("SELECT coalesce(sum(uses), 0) FROM token_usage")
    return int(number)
