"""How long and how much is measured."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """`seconds` of one measurement, `rounds` of alternating ones, `tokens` stored in a large table."""

    seconds: int
    rounds: int
    tokens: int
    logouts: int
