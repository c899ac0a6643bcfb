"""Moments and times as they are written outside."""

from datetime import datetime
from typing import Final

UNIT_SECONDS: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
"""The units of a time such as 30m, the largest first."""


def wire_time(moment: datetime | None) -> str | None:
    """ISO 8601 in UTC with six digits of fraction, as 2026-12-24T10:00:00.000000Z; None stays."""
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
