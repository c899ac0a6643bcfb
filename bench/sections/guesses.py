"""1,000 guesses a second through four processes: how many are let through, and what others notice.

At one account from addresses everywhere; at 1,000 accounts from one address; and at 1,000 accounts from
addresses everywhere, which only the time to hash holds up. Each for as many seconds as --seconds says, 60 for
the figures in docs/performance.md. Before and meanwhile verify is asked 1,000 times a second and the owner
logs in from home, so that the guesses are all that differs. Servers and load share all cores.
"""

from collections.abc import Callable
from typing import Any, Final

from tests.accounts import Person

from bench.baseline import OWASP_HASH
from bench.databases import Database, accounts_on
from bench.fill import add_people
from bench.guesses import Guesses, anywhere, guess
from bench.machine import CORES, on_cores, resident_bytes
from bench.options import Options
from bench.report import print_table
from bench.servers import VERIFY, nightlatch
from bench.steady import asked_steadily
from nightlatch.model.rate import Rate
from nightlatch.settings import Settings

WORKERS: Final = 4
GUESSES_PER_SECOND: Final = 1_000
ACCOUNTS: Final = 1_000
VERIFICATIONS_PER_SECOND: Final = 1_000
QUIET_SECONDS: Final = 20
HOME: Final = "192.0.2.1"
"""Where tests.accounts logs in from."""
_MEBIBYTE: Final = 2**20


def measure(database: Database, options: Options) -> dict[str, Any]:
    """Guesses let through and what they may be at most, verify's p99 with and without, memory, the owner."""
    settings = Settings()
    rates = {
        name: getattr(settings, name) for name in ("failed_logins_per_account", "failed_logins_per_address")
    }
    with accounts_on(database, **OWASP_HASH) as accounts:
        owner = accounts.add_person(token_limit=10_000)
        header = f"Authorization: Token {accounts.log_in(owner)}"
        people = add_people(database, accounts, 2 * ACCOUNTS)
        sprayed, everywhere = ([next(people) for _ in range(ACCOUNTS)] for _ in range(2))
    database.pin(CORES)
    result = {}
    account, address = rates["failed_logins_per_account"], rates["failed_logins_per_address"]
    with (
        on_cores(CORES),
        nightlatch(
            database,
            CORES,
            workers=WORKERS,
            trusted_proxies="127.0.0.1",
            log_level="warning",
            **OWASP_HASH,
            **{name: str(rate) for name, rate in rates.items()},
        ) as serving,
    ):
        for name, targets, source, most in (
            ("one account, from everywhere", [owner], anywhere, _most(account, 1, options.seconds)),
            (
                "1,000 accounts, one address",
                sprayed,
                lambda: "198.51.100.1",
                _most(address, 1, options.seconds),
            ),
            (
                "1,000 accounts, from everywhere",
                everywhere,
                anywhere,
                _most(account, ACCOUNTS, options.seconds),
            ),
        ):
            result[name] = _under_guesses(serving, header, targets, source, owner, most, options.seconds)
    print_table(
        f"{GUESSES_PER_SECOND:,} guesses a second through {WORKERS} processes",
        ["", *next(iter(result.values()))],
        [[name, *row.values()] for name, row in result.items()],
    )
    return result


def _most(rate: Rate, buckets: int, seconds: float) -> int:
    """How many may be let through in so many seconds."""
    return buckets * (rate.burst + int(seconds / rate.interval))


def _under_guesses(
    serving: Any,
    header: str,
    targets: list[Person],
    source: Callable[[], str],
    owner: Person,
    most: int,
    seconds: int,
) -> dict[str, Any]:
    def verify_beside(per_second: int, for_seconds: float) -> tuple[list[float], Guesses, int]:
        with asked_steadily(serving.port, VERIFY, header, VERIFICATIONS_PER_SECOND, for_seconds) as times:
            seen = guess(serving.port, targets, source, owner, HOME, per_second, for_seconds)
            memory = max(resident_bytes(pid) for pid in serving.worker_pids())
        return times, seen, memory

    quiet, _, before = verify_beside(0, min(seconds, QUIET_SECONDS))
    beside, seen, after = verify_beside(GUESSES_PER_SECOND, seconds)
    return {
        "let through": seen.statuses[400],
        "at most": most,
        "429": seen.statuses[429],
        "503": seen.statuses[503],
        "not sent": seen.missed,
        "verify p50 ms, quiet": quiet[0],
        "p50 beside guesses": beside[0],
        "p99 ms, quiet": quiet[1],
        "p99 beside guesses": beside[1],
        "MiB, quiet": round(before / _MEBIBYTE),
        "MiB, beside": round(after / _MEBIBYTE),
        "owner let in": f"{seen.owner[200]} of {seen.owner.total()}",
        "owner s, most": round(seen.owner_seconds_most, 2),
    }
