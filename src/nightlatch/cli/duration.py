"""How long a token lives, as it is written on the command line."""

import re

import typer

from nightlatch.model.records import TIME_TO_LIVE_SECONDS_DEFAULT

TIME_TO_LIVE_HELP = "How long a token lives: 30d, 12h, 90m, seconds, or never."
TIME_TO_LIVE_DEFAULT = f"{TIME_TO_LIVE_SECONDS_DEFAULT // 86400}d"

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"([0-9]{1,12})([smhd]?)")


def read_duration(text: str) -> int | None:
    """Seconds, or None for `never`."""
    if text == "never":
        return None
    match = _DURATION.fullmatch(text)
    if match is None:
        raise typer.BadParameter(
            f"'{text}' is no duration: expected for example 30d, 12h, 90m, 3600 or never",
            param_hint="--time-to-live",
        )
    return int(match[1]) * _UNITS[match[2]]
