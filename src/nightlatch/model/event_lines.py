"""An event as one line: as JSON, and for spreadsheets.

Names and user agents are chosen by strangers: whatever the format, a line holds nothing but printable
characters, and a spreadsheet finds no formula in it.
"""

import csv
import io
import json
from collections.abc import Iterable
from typing import Final

from nightlatch.model.event import EventRecord, event_document
from nightlatch.model.plain_text import document_text, printable

_FORMULA: Final = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet takes for the beginning of a formula (OWASP, CSV Injection)."""

_KEYS: Final = (
    *("id", "at", "kind", "organization_id", "actor", "actor_user", "actor_token_id", "user", "token_id"),
    *("address", "user_agent", "request_id", "detail", "count"),
)


def json_line(event: EventRecord) -> str:
    """The event's document, in ASCII."""
    return document_text(event_document(event))


def csv_header() -> str:
    """The names of the columns."""
    return _csv(_KEYS)


def csv_line(event: EventRecord) -> str:
    """A row as RFC 4180 has it, without its line break; `detail` is JSON, what there is none of is empty."""
    document = event_document(event)
    document["detail"] = json.dumps(document["detail"])
    return _csv("" if document[key] is None else str(document[key]) for key in _KEYS)


def _csv(cells: Iterable[str]) -> str:
    written = io.StringIO()
    csv.writer(written, quoting=csv.QUOTE_ALL, lineterminator="").writerow(map(_harmless, cells))
    return written.getvalue()


def _harmless(cell: str) -> str:
    shown = printable(cell)
    return "'" + shown if shown.lstrip().startswith(_FORMULA) else shown
