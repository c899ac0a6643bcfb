"""What memory does not know, and what it is asked while logins take the core.

Cold misses: each request presents another live token, to a server that remembers one. Unknown tokens:
well formed, each another one. Malformed ones: with a wrong checksum. And verify of a known token while
as many people log in as can be hashed, on the same core.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from tests.accounts import Person

from bench.baseline import OWASP_HASH
from bench.databases import Database, accounts_on
from bench.fill import add_people, add_tokens, write_headers
from bench.load import Answers, ask, logins_per_second
from bench.options import Options
from bench.report import median, print_table
from bench.rounds import Rounds, measure_in_turn
from bench.servers import VERIFY, granian, nightlatch
from nightlatch.model.token import generate_token

CONNECTIONS: Final = 32
LIVE_TOKENS: Final = 10_000
UNKNOWN_PER_SECOND_MAX: Final = 8_000
LOGINS_AT_ONCE: Final = 8
PEOPLE: Final = 3_000
LEAD_SECONDS: Final = 0.5
"""How long logins go on before and after verify is measured."""


def measure(database: Database, options: Options) -> dict[str, Any]:
    """Requests per second and p99 of each kind of miss; and of verify beside logins."""
    tokens = add_tokens(database, LIVE_TOKENS, LIVE_TOKENS)
    return {"misses": _misses(database, options, tokens), "beside_logins": _beside_logins(database, options)}


def _misses(database: Database, options: Options, tokens: list[str]) -> dict[str, Any]:
    folder = database.folder
    live = write_headers(tokens, folder / "live")
    # The last character is of the checksum.
    wrong = [token[:-1] + ("0" if token[-1] != "0" else "1") for token in tokens]
    malformed = write_headers(wrong, folder / "malformed")
    with (
        granian("bench.baseline:bare_application", folder) as bare,
        nightlatch(database, known_tokens_max=1) as serving,
    ):
        bare_url, url = (f"http://127.0.0.1:{port}{VERIFY}" for port in (bare, serving.port))

        def unknown(seconds: int) -> Answers:
            # New ones each time: those of the last time are known to be absent for a minute.
            made = [generate_token().reveal() for _ in range(UNKNOWN_PER_SECOND_MAX * seconds)]
            file = write_headers(made, folder / "unknown")
            seen = ask(url, CONNECTIONS, seconds, tokens=file, status=401, count=True)
            if seen.requests > len(made):
                raise SystemExit("unknown tokens were presented twice: raise UNKNOWN_PER_SECOND_MAX")
            return seen

        seen = measure_in_turn(
            {
                "bare": lambda seconds: ask(bare_url, CONNECTIONS, seconds, tokens=live),
                "cold miss": lambda seconds: ask(url, CONNECTIONS, seconds, tokens=live),
                "unknown": unknown,
                "malformed": lambda seconds: ask(url, CONNECTIONS, seconds, tokens=malformed, status=401),
            },
            options.rounds,
            options.seconds,
        )
    print_table(f"Misses at {CONNECTIONS} connections, one worker on one core", Rounds.columns(), seen.rows())
    return {name: seen.summary(name) for name in seen.seen}


def _beside_logins(database: Database, options: Options) -> dict[str, Any]:
    with accounts_on(database, **OWASP_HASH) as accounts:
        people = add_people(database, accounts, PEOPLE, first=LIVE_TOKENS + 1)
        header = f"Authorization: Token {accounts.log_in(accounts.add_person())}"
    login_rates: list[float] = []
    with nightlatch(database, **OWASP_HASH) as serving:
        url = f"http://127.0.0.1:{serving.port}{VERIFY}"

        def beside(seconds: int) -> Answers:
            with ThreadPoolExecutor(1) as pool:
                logins = pool.submit(_log_in, serving.port, people, seconds)
                time.sleep(LEAD_SECONDS)
                answers = ask(url, CONNECTIONS, seconds, [header])
                login_rates.append(logins.result())
            return answers

        seen = measure_in_turn(
            {
                "verify alone": lambda seconds: ask(url, CONNECTIONS, seconds, [header]),
                "beside logins": beside,
            },
            options.rounds,
            options.seconds,
        )
    print_table(
        f"Verify at {CONNECTIONS} connections while {LOGINS_AT_ONCE} clients log in "
        f"({median(login_rates, 1)} logins/s), all on one core",
        Rounds.columns(),
        seen.rows(),
    )
    return {**{name: seen.summary(name) for name in seen.seen}, "logins_per_second": median(login_rates, 1)}


def _log_in(port: int, people: Iterator[Person], seconds: int) -> float:
    return logins_per_second(port, people, LOGINS_AT_ONCE, seconds + 2 * LEAD_SECONDS)
