"""The outcomes as Markdown."""

from collections.abc import Sequence

from tests.faults.probes import Endpoint, Status
from tests.faults.run import EXPIRIES, Outcome


def endpoints_table(outcomes: Sequence[Outcome]) -> str:
    """What each endpoint answered during and after each fault."""
    rows = [["fault", *(endpoint.value for endpoint in Endpoint)]]
    for outcome in outcomes:
        cells = (
            f"{_statuses(outcome.during[endpoint])} / {_statuses(outcome.after[endpoint])}"
            for endpoint in Endpoint
        )
        rows.append([outcome.fault.name, *cells])
    return _markdown(rows)


def expiries_table(outcomes: Sequence[Outcome]) -> str:
    """What verify answered for tokens near their expiry, during and after each step of the clock."""
    by_seconds = {
        sign * seconds: f"{'expires in' if sign > 0 else 'expired'} {name}{'' if sign > 0 else ' ago'}"
        for sign in (1, -1)
        for name, seconds in EXPIRIES.items()
    }
    rows = [["clock", *by_seconds.values()]]
    for outcome in outcomes:
        if outcome.expiring:
            cells = (
                " / ".join(_statuses([status]) for status in outcome.expiring[seconds])
                for seconds in by_seconds
            )
            rows.append([outcome.fault.name, *cells])
    return _markdown(rows)


def _statuses(statuses: Sequence[Status]) -> str:
    return ", then ".join("no answer" if status is None else str(status) for status in statuses)


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    head, *rest = rows
    lines = [head, ["---"] * len(head), *rest]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
