"""An event as one line for people.

Names and user agents are chosen by strangers: a line holds nothing but printable characters.
"""

from typing import Final

from nightlatch.model.event import EventRecord
from nightlatch.model.plain_text import printable

_WIDTHS: Final = (19, 20, 12, 28, 28, 12, 24)


def text_header() -> str:
    """The names of the columns."""
    return _columns("Time (UTC)", "Kind", "Organization", "By", "User", "Token", "Address", "")


def text_line(event: EventRecord) -> str:
    """The event for people, without its user agent and request id."""
    rest = [] if event.count == 1 else [f"{event.count} times"]
    rest += [f"{name}: {_value(value)}" for name, value in event.detail.items()]
    return _columns(
        event.at.strftime("%Y-%m-%d %H:%M:%S"),
        event.kind,
        event.organization_id or "",
        event.actor_email or event.actor,
        event.email or "",
        event.token_id or "",
        event.address or "",
        ", ".join(rest),
    )


def _value(value: object) -> str:
    match value:
        case {"before": before, "after": after}:
            return f"{_value(before)} -> {_value(after)}"
        case list():
            return " ".join(map(str, value)) or "none"
        case None:
            return "none"
    return str(value)


def _columns(*cells: str) -> str:
    *first, last = map(printable, cells)
    padded = [cell.ljust(width) for cell, width in zip(first, _WIDTHS, strict=True)]
    return "  ".join([*padded, last]).rstrip()
