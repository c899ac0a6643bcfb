"""How long a token lives, as it is written on the command line."""

import re
from typing import Annotated, Final

import typer

from nightlatch.model.errors import InvalidValue
from nightlatch.model.records import TIME_TO_LIVE_SECONDS_DEFAULT
from nightlatch.model.times import UNIT_SECONDS

_DURATION: Final = re.compile(r"([0-9]{1,12})([smhd]?)")

TimeToLiveOption = Annotated[
    str | None,
    typer.Option(
        "--time-to-live",
        metavar="TIME",
        help="How long a token lives: 30d, 12h, 90m, seconds, or never. For tokens made from now on.",
    ),
]


def read_duration(text: str) -> int | None:
    """Seconds, or None for `never`. Raises InvalidValue."""
    if text == "never":
        return None
    match = _DURATION.fullmatch(text)
    if match is None:
        raise InvalidValue(
            "time_to_live", "A time to live is written as 30d, 12h, 90m, 3600 (seconds) or never."
        )
    return int(match[1]) * UNIT_SECONDS[match[2] or "s"]


def read_limited_duration(text: str) -> int:
    """Seconds; never is no duration here. Raises InvalidValue."""
    seconds = read_duration(text)
    if seconds is None:
        raise InvalidValue("child_time_to_live", "A child token expires: it lives for a second to a day.")
    return seconds


def write_duration(seconds: int | None) -> str:
    """The same for people, in the largest unit that divides it."""
    if seconds is None:
        return "never"
    unit = next(name for name, length in UNIT_SECONDS.items() if seconds % length == 0)
    return f"{seconds // UNIT_SECONDS[unit]}{unit}"


TIME_TO_LIVE_DEFAULT: Final = write_duration(TIME_TO_LIVE_SECONDS_DEFAULT)
