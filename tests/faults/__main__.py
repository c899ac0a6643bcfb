"""`python -m tests.faults --table` prints what each endpoint answers during and after each fault."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.faults.run import Outcome, run
from tests.faults.sites import PLANS, built
from tests.faults.table import endpoints_table, expiries_table


def main() -> int:
    """Run every fault that is possible here; 1 if something was answered that must not be."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--table", action="store_true", help="print Markdown tables, one for each database")
    parser.add_argument("--only", default="", help="places whose name begins with this")
    arguments = parser.parse_args()
    outcomes: dict[str, list[Outcome]] = {}
    for plan in PLANS:
        if not plan.name.startswith(arguments.only):
            continue
        with tempfile.TemporaryDirectory() as name:
            possible = plan.possible(Path(name))
        if not possible:
            print(f"left out: {plan.name}, which needs {plan.needs}", file=sys.stderr)
            continue
        with built(plan) as site:
            for fault in site.faults:
                outcome = run(site, fault)
                outcomes.setdefault(site.database, []).append(outcome)
                print(
                    f"{plan.name}: {fault.name}: as before after {outcome.recovered_seconds:.2f} s"
                    f"{'' if outcome.kept_worker else ', in a new worker'} {fault.remark}",
                    *outcome.violations,
                    sep="\n    ",
                    file=sys.stderr,
                )
    if arguments.table:
        for database, of_database in outcomes.items():
            print(f"## {database}\n\n{endpoints_table(of_database)}\n{expiries_table(of_database)}")
    return int(any(outcome.violations for of_database in outcomes.values() for outcome in of_database))


if __name__ == "__main__":
    sys.exit(main())
