"""What is measured, one file to a section."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from bench.databases import KINDS, POSTGRESQL, SQLITE, Database
from bench.options import Options
from bench.sections import (
    client,
    compare,
    feed,
    guesses,
    hostile,
    knox,
    lease,
    logins,
    logout,
    middleware,
    misses,
    process,
    stored,
    usage,
    verifier,
    verify,
)


@dataclass(frozen=True, slots=True)
class Section:
    """How to measure it, on which databases; none: it has nothing to do with ours, and runs once."""

    measure: Callable[[Database, Options], dict[str, Any]]
    databases: tuple[str, ...] = KINDS
    by_default: bool = True


SECTIONS: Final = {
    "verify": Section(verify.measure),
    "compare": Section(compare.measure, ()),
    "knox": Section(knox.measure, (), by_default=False),
    "usage": Section(usage.measure),
    "misses": Section(misses.measure),
    "process": Section(process.measure),
    "verifier": Section(verifier.measure),
    "middleware": Section(middleware.measure),
    "stored": Section(stored.measure),
    "logout": Section(logout.measure),
    "feed": Section(feed.measure, (POSTGRESQL,)),
    "lease": Section(lease.measure, (POSTGRESQL,), by_default=False),
    "client": Section(client.measure, ()),
    "logins": Section(logins.measure),
    "guesses": Section(guesses.measure, by_default=False),
    "hostile": Section(hostile.measure, (SQLITE,), by_default=False),
}
