"""The audit log: read it, follow it, export it."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from nightlatch.cli.arguments import FilterOrganizationOption, FilterUserOption
from nightlatch.cli.command import Call, command
from nightlatch.cli.duration import read_duration
from nightlatch.cli.event_lines import text_header, text_line
from nightlatch.cli.failure import WrongUse
from nightlatch.cli.output import Answer, print_lines
from nightlatch.model.errors import InvalidValue
from nightlatch.model.event import EventFilter, EventKind, EventRecord, event_document
from nightlatch.model.event_lines import csv_header, csv_line, json_line
from nightlatch.model.names import OrganizationId, normalize_email

LIMIT_DEFAULT: Final = 100
LIMIT_MAX: Final = 100_000
_TIME_HELP: Final = "2026-12-24T10:00:00Z (in UTC where no zone is given), or 30d, 12h, 90m: so long ago."


class Format(StrEnum):
    """How events are written."""

    TABLE = "table"
    JSONL = "jsonl"
    CSV = "csv"


_LINES: Final[dict[Format, tuple[list[str], Callable[[EventRecord], str]]]] = {
    Format.TABLE: ([text_header()], text_line),
    Format.JSONL: ([], json_line),
    Format.CSV: ([csv_header()], csv_line),
}


@command
def audit(
    call: Call,
    organization: FilterOrganizationOption = None,
    user: FilterUserOption = None,
    kind: Annotated[
        EventKind | None, typer.Option(metavar="KIND", help="Only events of this kind, as login_refused.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help=f"Only what happened then or later: {_TIME_HELP}")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help=f"Only what happened before: {_TIME_HELP}")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=0, max=LIMIT_MAX, metavar="N", help="Only the newest N of them; 0: all.")
    ] = LIMIT_DEFAULT,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on with what happens from now on, until Ctrl-C.")
    ] = False,
    written: Annotated[
        Format | None,
        typer.Option("--format", help="How to write them: for people, as JSON lines, or for spreadsheets."),
    ] = None,
) -> Answer | None:
    """Show the audit log, oldest first: who did what to whom, when, and from where."""
    from nightlatch.usecases.show_events import follow_events, show_events

    if call.json and (follow or written is not None):
        raise WrongUse("--json is one document. For JSON lines, use --format jsonl without it.")
    if follow and until is not None:
        raise WrongUse("--follow and --until exclude each other: what is to come is after it.")
    chosen = EventFilter(
        None if organization is None else OrganizationId(organization),
        None if user is None else normalize_email(user),
        kind,
        _moment("since", since),
        _moment("until", until),
    )
    session = call.session()
    if call.json:
        documents: list[dict[str, Any]] = []
        session.run(show_events, chosen, limit, lambda events: documents.extend(map(event_document, events)))
        return Answer(documents, ())
    header, line = _LINES[written or Format.TABLE]
    print_lines(header)

    def receive(events: Sequence[EventRecord]) -> None:
        print_lines(map(line, events))

    session.run(follow_events if follow else show_events, chosen, limit, receive)
    return None


def _moment(name: str, text: str | None) -> datetime | None:
    """The moment that is named, or so long before now. Raises InvalidValue."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    try:
        seconds = read_duration(text)
        if seconds is not None:
            return datetime.now(UTC) - timedelta(seconds=seconds)
    except (InvalidValue, OverflowError):
        pass
    raise InvalidValue(name, f"A time for --{name} is {_TIME_HELP}")
