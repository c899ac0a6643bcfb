"""The audit log of an organization: what is asked for, and how it is shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from nightlatch.console.language import Language
from nightlatch.console.views.events import EventRow, event_row, kind_names
from nightlatch.console.views.new_token import Choice
from nightlatch.console.views.paging import PageLink, page_link, read_page
from nightlatch.model.event import EventFilter, EventKind, EventRecord
from nightlatch.model.names import OrganizationId, normalize_email

PATH: Final = "/console/activity/"
EXPORT: Final = f"{PATH}export/"
ROWS: Final = 50
PAGES_MAX: Final = 200
"""Beyond that, narrow the time: the list's count is exact up to 10,000 only."""
TEXT_MAX: Final = 254


@dataclass(frozen=True, slots=True)
class ActivityQuery:
    """What is asked for; both days belong to it, as UTC has them."""

    kind: EventKind | None = None
    user: str = ""
    since: date | None = None
    until: date | None = None
    page: int = 1

    def url(self, path: str = PATH, **changes: Any) -> str:
        """The list with these values changed, from page 1."""
        changed = replace(self, **{"page": 1, **changes})
        pairs = {
            "kind": changed.kind.value if changed.kind is not None else "",
            "user": changed.user,
            "since": changed.since.isoformat() if changed.since is not None else "",
            "until": changed.until.isoformat() if changed.until is not None else "",
            "page": "" if changed.page == 1 else str(changed.page),
        }
        given = {name: value for name, value in pairs.items() if value}
        return f"{path}?{urlencode(given)}" if given else path

    @property
    def is_narrowed(self) -> bool:
        """Whether it leaves out any event."""
        return bool(self.kind or self.user or self.since or self.until)

    @property
    def offset(self) -> int:
        """How many events stand before the page."""
        return (self.page - 1) * ROWS

    def filter(self, organization_id: OrganizationId) -> EventFilter:
        """The same for the store."""
        return EventFilter(
            organization_id=organization_id,
            email=normalize_email(self.user) if self.user else None,
            kind=self.kind,
            since=_midnight(self.since) if self.since is not None else None,
            until=_midnight(self.until) + timedelta(days=1) if self.until is not None else None,
        )


def read_activity_query(parameters: Mapping[str, str]) -> ActivityQuery:
    """What a query string says; what is unusable counts as not given."""
    kind = parameters.get("kind", "")
    return ActivityQuery(
        kind=EventKind(kind) if kind in set(EventKind) else None,
        user=parameters.get("user", "").strip()[:TEXT_MAX],
        since=_day(parameters.get("since", "")),
        until=_day(parameters.get("until", "")),
        page=min(read_page(parameters.get("page", "")), PAGES_MAX),
    )


@dataclass(frozen=True, slots=True)
class Activity:
    """The page `activity.html`."""

    query: ActivityQuery
    rows: tuple[EventRow, ...]
    count: int
    kinds: tuple[Choice, ...]
    pages: PageLink
    csv_url: str
    jsonl_url: str


def activity_view(
    language: Language, query: ActivityQuery, events: Sequence[EventRecord], count: int, now: datetime
) -> Activity:
    """The page that `query.offset` begins; `count` is of all events that fit."""
    pages = min(PAGES_MAX, max(1, -(-count // ROWS)))
    return Activity(
        query=query,
        rows=tuple(event_row(language, each, now) for each in events),
        count=count,
        kinds=tuple(
            Choice(str(kind), name, query.kind is not None and query.kind.value == kind)
            for kind, name in kind_names(language).items()
        ),
        pages=page_link(query.page, max(pages, query.page), lambda page: query.url(page=page)),
        csv_url=_export_url(query, "csv"),
        jsonl_url=_export_url(query, "jsonl"),
    )


def _export_url(query: ActivityQuery, kind: str) -> str:
    url = query.url(EXPORT)
    return f"{url}{'&' if '?' in url else '?'}format={kind}"


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _day(text: str) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    # So that a day more, and any zone, is a time still.
    return day if 1970 <= day.year < 9000 else None
