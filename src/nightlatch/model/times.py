"""Moments as they are written outside."""

from datetime import datetime


def wire_time(moment: datetime | None) -> str | None:
    """ISO 8601 in UTC with six digits of fraction, as 2026-12-24T10:00:00.000000Z; None stays."""
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
