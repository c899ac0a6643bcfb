"""Run the benchmarks: print tables, and append a line for each section and database to bench/results.jsonl.

`python -m bench [SECTION ...] [--database KIND] [--seconds N] [--rounds N] [--tokens N] [--logouts N]`
"""

import argparse
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from bench.databases import KINDS, Database, new_database
from bench.machine import CORES, LOAD_CORE, on_cores
from bench.options import Options
from bench.report import append
from bench.sections import SECTIONS, Section

QUIET: Final = 0.5
NO_DATABASE: Final = "none"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0])
    by_default = [name for name, section in SECTIONS.items() if section.by_default]
    parser.add_argument(
        "sections",
        nargs="*",
        metavar="SECTION",
        help=f"of {', '.join(SECTIONS)}; by default {', '.join(by_default)}",
    )
    parser.add_argument("--database", choices=KINDS, help="by default both, one after the other")
    parser.add_argument("--seconds", type=int, default=4, help="of one measurement (4)")
    parser.add_argument("--rounds", type=int, default=5, help="of alternating measurements (5)")
    parser.add_argument("--tokens", type=int, default=10_000_000, help="in the section `stored` (10 million)")
    parser.add_argument("--logouts", type=int, default=100, help="in each row of `logout` (100)")
    arguments = parser.parse_args()
    unknown = set(arguments.sections) - set(SECTIONS)
    if unknown:
        parser.error(f"there is no section {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    arguments.sections = arguments.sections or by_default
    return arguments


def _run(name: str, section: Section, kind: str, options: Options) -> None:
    busy = os.getloadavg()[0]
    print(f"\n## {name}" + ("" if kind == NO_DATABASE else f", {kind}"), flush=True)
    if busy > QUIET:
        print(f"\nThe machine is not quiet: its load average is {busy:.1f}.", flush=True)
    # Threads and processes of the bench's own stay away from the servers' core.
    with on_cores(LOAD_CORE):
        result = _measured(section, kind, options)
    if result:
        append(name, kind, busy, result)


def _measured(section: Section, kind: str, options: Options) -> dict[str, Any]:
    if kind == NO_DATABASE:
        with tempfile.TemporaryDirectory(prefix="nightlatch-bench-") as folder:
            return section.measure(Database(kind, "", Path(folder), None), options)
    with new_database(kind) as database:
        return section.measure(database, options)


def main() -> None:
    """Each section on each database that it is about."""
    arguments = _arguments()
    # So that what was started is stopped, and folders are removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    options = Options(arguments.seconds, arguments.rounds, arguments.tokens, arguments.logouts)
    if len(CORES) < 2:
        print("Servers and load share the only core: figures mean little.", flush=True)
    for name in arguments.sections:
        section = SECTIONS[name]
        for kind in section.databases or (NO_DATABASE,):
            if arguments.database in (None, kind) or kind == NO_DATABASE:
                _run(name, section, kind, options)


if __name__ == "__main__":
    main()
