"""Logins to what the password hash alone allows, and the requests that go through the framework.

On one core: the server with one thread for hashes, and the bare hash with one thread, on that same core,
the clients on the other. On all cores: nothing is pinned. Hashes are counted before and after each
round of logins, so that a machine that slows down shows.
"""

from collections.abc import Collection, Iterator
from contextlib import nullcontext
from itertools import pairwise
from typing import Any, Final

from tests.accounts import Person

from bench.baseline import OWASP_HASH, hashes_per_second
from bench.databases import Database, accounts_on
from bench.fill import add_people
from bench.load import ask, logins_per_second
from bench.machine import CORES, LOAD_CORE, SERVER_CORE, on_cores
from bench.options import Options
from bench.report import median, print_table
from bench.rounds import Rounds, measure_in_turn
from bench.servers import VERIFY, granian, nightlatch

ROUNDS_MAX: Final = 3
LOGINS_AT_ONCE: Final = 8
CONNECTIONS: Final = 32
PEOPLE: Final = 5_000
SECONDS_FACTOR: Final = 2
"""Logins are few: they are counted for longer than other requests."""
LIST: Final = "/api/v1/organizations/"


def measure(database: Database, options: Options) -> dict[str, Any]:
    """Rates and ratios on one core and on all."""
    with accounts_on(database, **OWASP_HASH) as accounts:
        people = add_people(database, accounts, PEOPLE)
        header = f"Authorization: Token {accounts.log_in(accounts.add_person())}"
    result: dict[str, Any] = {}
    for name, cores in (("one core", SERVER_CORE), ("all cores", CORES)):
        database.pin(LOAD_CORE if cores == SERVER_CORE else CORES)
        # The bench's own threads and its wrk as well go where they like when nothing is pinned.
        with on_cores(CORES) if cores == CORES else nullcontext():
            result[name.replace(" ", "_")] = _on(database, cores, people, header, name, options)
    return result


def _on(
    database: Database,
    cores: Collection[int],
    people: Iterator[Person],
    header: str,
    name: str,
    options: Options,
) -> dict[str, Any]:
    seconds = options.seconds * SECONDS_FACTOR
    clients = LOAD_CORE if cores == SERVER_CORE else CORES
    with (
        granian("bench.baseline:bare_application", database.folder, cores) as bare,
        nightlatch(database, cores, **OWASP_HASH) as serving,
    ):
        logins_per_second(serving.port, people, LOGINS_AT_ONCE, 1)
        hashes = [hashes_per_second(cores, options.seconds)]
        logins = []
        for _ in range(min(ROUNDS_MAX, options.rounds)):
            logins.append(logins_per_second(serving.port, people, LOGINS_AT_ONCE, seconds))
            hashes.append(hashes_per_second(cores, options.seconds))
        bare_url, url = (
            f"http://127.0.0.1:{port}{path}" for port, path in ((bare, VERIFY), (serving.port, LIST))
        )
        seen = measure_in_turn(
            {
                "bare": lambda seconds: ask(bare_url, CONNECTIONS, seconds, [header], cores=clients),
                "list of organizations": lambda seconds: ask(
                    url, CONNECTIONS, seconds, [header], cores=clients
                ),
            },
            min(ROUNDS_MAX, options.rounds),
            options.seconds,
        )
    bare_hashes = [(before + after) / 2 for before, after in pairwise(hashes)]
    ratios = [one / bare_rate for one, bare_rate in zip(logins, bare_hashes, strict=True)]
    measured = {
        "hashes_per_second": median(bare_hashes, 1),
        "logins_per_second": median(logins, 1),
        "ratio": median(ratios),
        "ratio_least": round(min(ratios), 3),
        "ratio_most": round(max(ratios), 3),
    }
    print_table(
        f"Logins by {LOGINS_AT_ONCE} clients, {name}",
        ["hashes/s", "logins/s", "ratio", "of", "to"],
        [list(measured.values())],
    )
    print_table(f"Through the framework, {name}", Rounds.columns(), seen.rows())
    return {**measured, **{each: seen.summary(each) for each in seen.seen}}
