"""One's own account: password, sessions, recent activity."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from nightlatch.console.language import Language
from nightlatch.console.views.client import client_name
from nightlatch.console.views.events import EventRow, event_row
from nightlatch.console.views.moments import Moment, moment
from nightlatch.model.event import EventRecord
from nightlatch.model.session import SessionId, SessionRecord


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session as a row."""

    id: str
    is_this: bool
    created: Moment
    used: Moment
    expiry: Moment
    address: str
    client: str
    user_agent: str


@dataclass(frozen=True, slots=True)
class Account:
    """The page `account.html`.

    Its forms post to /console/account/: `do=password` with `current_password` and `new_password`;
    `do=end_session` with `id`; `do=end_others`. `problems` are sentences by field.
    """

    sessions: tuple[SessionRow, ...]
    events: tuple[EventRow, ...]
    length_min: int
    done: str
    """What has just been done: a sentence."""
    problems: Mapping[str, str] = field(default_factory=dict)


def account_view(
    language: Language,
    sessions: Sequence[SessionRecord],
    this: SessionId,
    events: Sequence[EventRecord],
    length_min: int,
    now: datetime,
    done: str = "",
    problems: Mapping[str, str] | None = None,
) -> Account:
    """The page; this browser's session comes first."""
    rows = sorted(sessions, key=lambda each: (each.id != this, -each.used.timestamp()))
    return Account(
        sessions=tuple(
            SessionRow(
                id=each.id,
                is_this=each.id == this,
                created=moment(language, each.created, now),
                used=moment(language, each.used, now),
                expiry=moment(language, each.expiry, now),
                address=each.address,
                client=client_name(each.user_agent),
                user_agent=each.user_agent,
            )
            for each in rows
        ),
        events=tuple(event_row(language, each, now) for each in events),
        length_min=length_min,
        done=done,
        problems=problems or {},
    )
