"""Measuring several servers in turn, so that a machine that slows down slows all of them down."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.load import Answers
from bench.report import median

WARM_UP_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Rounds:
    """What was seen of each server in each round; the first server is the baseline."""

    seen: dict[str, list[Answers]]

    @property
    def baseline(self) -> list[Answers]:
        """What was seen of the baseline."""
        return next(iter(self.seen.values()))

    def ratios(self, name: str) -> list[float]:
        """The rate of a server to that of the baseline in the same round."""
        return [one.rate / bare.rate for one, bare in zip(self.seen[name], self.baseline, strict=True)]

    def summary(self, name: str) -> dict[str, Any]:
        """Medians over the rounds; p50 and p99 in milliseconds."""
        seen = self.seen[name]
        p99_ratios = [one.p99 / bare.p99 for one, bare in zip(seen, self.baseline, strict=True)]
        ratios = self.ratios(name)
        return {
            "rate": round(median([one.rate for one in seen])),
            "ratio": median(ratios),
            "ratio_least": round(min(ratios), 3),
            "ratio_most": round(max(ratios), 3),
            "p50": median([one.p50 for one in seen]),
            "p99": median([one.p99 for one in seen]),
            "p99_ratio": median(p99_ratios, 2),
        }

    @staticmethod
    def columns() -> list[str]:
        """Headings for rows()."""
        return ["", "requests/s", "ratio", "of", "to", "p50 ms", "p99 ms", "p99 ratio"]

    def rows(self, prefix: str = "") -> Sequence[Sequence[object]]:
        """A row for each server."""
        return [[f"{prefix}{name}", *self.summary(name).values()] for name in self.seen]


def measure_in_turn(servers: Mapping[str, Callable[[int], Answers]], rounds: int, seconds: int) -> Rounds:
    """Ask each in turn for so many seconds, so many times, after a warm-up of each."""
    for ask in servers.values():
        ask(WARM_UP_SECONDS)
    seen: dict[str, list[Answers]] = {name: [] for name in servers}
    for _ in range(rounds):
        for name, ask in servers.items():
            seen[name].append(ask(seconds))
    return Rounds(seen)
