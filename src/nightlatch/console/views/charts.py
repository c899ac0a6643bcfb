"""Counts of 30 days as small bars, drawn as one path in an SVG, and in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from nightlatch.console.language import Language

BAR_WIDTH: Final = 3
BAR_STEP: Final = 4


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars of at most `height`, `BAR_STEP` apart: `path` is stroked `BAR_WIDTH` wide."""

    total: int
    path: str
    width: int
    height: int
    words: str
    """What the picture shows, for who does not see it."""
    peak: str


def chart(language: Language, first_day: date, counts: Sequence[int], height: int) -> Chart:
    """One bar for each day from `first_day` on; any use at all is at least one unit high."""
    total, most = sum(counts), max(counts, default=0)
    bars = []
    for place, count in enumerate(counts):
        if count > 0:
            high = max(2, round(count * height / most))
            bars.append(f"M{place * BAR_STEP + 2} {height}v-{high}")
    peak = ""
    if most > 0:
        day = first_day + timedelta(days=list(counts).index(most))
        peak = language.gettext(
            "most on %(day)s: %(count)s", day=day.isoformat(), count=language.number(most)
        )
    words = language.ngettext("%(number)s in 30 days", "%(number)s in 30 days", total)
    return Chart(
        total=total,
        path="".join(bars),
        width=max(1, len(counts)) * BAR_STEP,
        height=height,
        words=f"{words}, {peak}" if peak else words,
        peak=peak,
    )
