"""Times as people read them: how long ago, and the exact one."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from nightlatch.console.language import Language

_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR


@dataclass(frozen=True, slots=True)
class Moment:
    """A time in three ways; a script replaces `exact` by the reader's zone."""

    machine: str
    """As HTML's `datetime` has it."""
    exact: str
    relative: str


def moment(language: Language, at: datetime, now: datetime) -> Moment:
    """The moment `at` as seen at `now`."""
    at = at.astimezone(UTC)
    return Moment(
        at.strftime("%Y-%m-%dT%H:%M:%SZ"), at.strftime("%Y-%m-%d %H:%M UTC"), relative(language, at - now)
    )


def relative(language: Language, distance: timedelta) -> str:
    """In words, how far away: in the past if the distance is negative. Rounded down, but for a fiftieth."""
    seconds = distance.total_seconds()
    return _past(language, -seconds) if seconds <= 0 else _future(language, seconds)


def duration(language: Language, seconds: int) -> str:
    """A length of time in its largest unit that is whole: 30 days, 12 hours."""
    if seconds % _DAY == 0:
        return language.ngettext("%(number)s day", "%(number)s days", seconds // _DAY)
    if seconds % _HOUR == 0:
        return language.ngettext("%(number)s hour", "%(number)s hours", seconds // _HOUR)
    if seconds % _MINUTE == 0:
        return language.ngettext("%(number)s minute", "%(number)s minutes", seconds // _MINUTE)
    return language.ngettext("%(number)s second", "%(number)s seconds", seconds)


def _past(language: Language, seconds: float) -> str:
    n = language.ngettext
    if seconds < _MINUTE:
        return language.gettext("just now")
    if seconds < _HOUR:
        return n("%(number)s minute ago", "%(number)s minutes ago", int(seconds // _MINUTE))
    if seconds < _DAY:
        return n("%(number)s hour ago", "%(number)s hours ago", int(seconds // _HOUR))
    days = int(seconds // _DAY)
    if days < 60:
        return n("%(number)s day ago", "%(number)s days ago", days)
    if days < 730:
        return n("%(number)s month ago", "%(number)s months ago", days // 30)
    return n("%(number)s year ago", "%(number)s years ago", days // 365)


def _future(language: Language, seconds: float) -> str:
    n = language.ngettext
    # What was made for seven days has seven, not six, a moment later.
    seconds *= 1.02
    if seconds < _MINUTE:
        return language.gettext("in less than a minute")
    if seconds < _HOUR:
        return n("in %(number)s minute", "in %(number)s minutes", int(seconds // _MINUTE))
    if seconds < _DAY:
        return n("in %(number)s hour", "in %(number)s hours", int(seconds // _HOUR))
    days = int(seconds // _DAY)
    if days < 60:
        return n("in %(number)s day", "in %(number)s days", days)
    if days < 730:
        return n("in %(number)s month", "in %(number)s months", days // 30)
    return n("in %(number)s year", "in %(number)s years", days // 365)
