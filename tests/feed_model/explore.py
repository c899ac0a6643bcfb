"""Every state that a model can reach, breadth first.

A model is an initial state and a function from a state to its labelled successors; states are
hashable values. Two things make the answer one about all behaviours and not about a sample:

* Every state is expanded once, and a state is all that its future depends on; so when nothing new is
  left, each interleaving, of any length, has been followed.
* The states nearest to the start come first, so the first that breaks the invariant ends one of the
  shortest ways there: a trace that a person can read.
"""

from collections import deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

S = TypeVar("S", bound=Hashable)


class TooManyStatesError(Exception):
    """The model is larger than was allowed; nothing is known about it."""


@dataclass(frozen=True, slots=True)
class Exploration(Generic[S]):
    """What an exploration found; without a `trace`, the invariant holds in all of the `states`."""

    states: int
    trace: tuple[tuple[str, S], ...] | None

    def story(self) -> str:
        """The steps of the trace, one a line, each with the state that it led to."""
        return "\n".join(f"{step}\n        {state}" for step, state in self.trace or ())


def explore(
    initial: S,
    successors: Callable[[S], Iterable[tuple[str, S]]],
    holds: Callable[[S], bool],
    states_max: int,
) -> Exploration[S]:
    """A shortest trace to a state where `holds` is false, or none if it is true in every reachable state.

    Raises TooManyStatesError rather than stop early: half an exploration proves nothing.
    """
    came_from: dict[S, tuple[str, S] | None] = {initial: None}
    if not holds(initial):
        return Exploration(1, ())
    waiting = deque([initial])
    while waiting:
        state = waiting.popleft()
        for step, after in successors(state):
            if after in came_from:
                continue
            came_from[after] = (step, state)
            if not holds(after):
                return Exploration(len(came_from), _trace(after, came_from))
            if len(came_from) > states_max:
                raise TooManyStatesError(f"more than {states_max} states")
            waiting.append(after)
    return Exploration(len(came_from), None)


def _trace(state: S, came_from: dict[S, tuple[str, S] | None]) -> tuple[tuple[str, S], ...]:
    steps: list[tuple[str, S]] = []
    while (link := came_from[state]) is not None:
        step, before = link
        steps.append((step, state))
        state = before
    return tuple(reversed(steps))
