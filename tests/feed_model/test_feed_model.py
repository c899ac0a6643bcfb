"""Promise 2 on PostgreSQL: the rule of docs/memory.md is enough, and nothing in it can be left out.

`model` and `lease_change` say what is modelled. That a way to break the promise is found for each
ingredient left out is also what shows that the models can find one.
"""

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.feed_model import lease_change, model
from tests.feed_model.explore import Exploration, TooManyStatesError, explore
from tests.feed_model.model import Acceptance, Ingredient, Rules, State

STATES_MAX = 300_000

pytestmark = pytest.mark.slow


def explore_model(rules: Rules, holds: Callable[[State], bool] = model.keeps_promise) -> Exploration[State]:
    return explore(model.initial(rules), partial(model.steps, rules), holds, STATES_MAX)


def explore_lease_change(rules: lease_change.Rules) -> Exploration[lease_change.State]:
    start = lease_change.initial(rules)
    return explore(start, partial(lease_change.steps, rules), lease_change.keeps_promise, STATES_MAX)


@pytest.mark.parametrize("lease", [1, 2, 3])
def test_with_every_ingredient_no_acknowledged_revocation_is_accepted(lease: int) -> None:
    found = explore_model(Rules(lease=lease, wait=lease))
    assert found.trace is None, found.story()


@pytest.mark.parametrize("ingredient", Ingredient)
def test_without_this_ingredient_one_is(ingredient: Ingredient) -> None:
    feeds_max = 2 if ingredient is Ingredient.NO_OLDER_READ else 1
    assert explore_model(Rules(lease=1, wait=1, without=ingredient, feeds_max=feeds_max)).trace


def test_with_every_ingredient_nothing_at_all_is_accepted_after_the_acknowledgement() -> None:
    """Stronger than promised, also for requests that had started before: the clock is looked at last."""

    def holds(state: State) -> bool:
        return not (state.accepted and state.accepted.acknowledged)

    found = explore_model(Rules(), holds)
    assert found.trace is None, found.story()


@pytest.mark.parametrize("loaded", [False, True], ids=["from memory", "from a load"])
def test_until_the_acknowledgement_a_revoked_token_may_still_be_accepted(loaded: bool) -> None:
    """So the promise is not kept by refusing everything; this is what the revoker waits for."""
    stale = Acceptance(late=False, loaded=loaded, committed=True, acknowledged=False)
    assert explore_model(Rules(), lambda state: state.accepted != stale).trace


def test_a_wait_of_one_tick_less_than_the_lease_is_too_short() -> None:
    assert explore_model(Rules(lease=2, wait=1)).trace


def test_two_feed_reads_at_once_are_safe_if_one_that_was_overtaken_is_thrown_away() -> None:
    found = explore_model(Rules(lease=1, wait=1, feeds_max=2))
    assert found.trace is None, found.story()


def test_a_wait_of_the_lease_is_too_short_for_a_clock_that_shows_10_of_11_ticks() -> None:
    assert explore_model(Rules(lease=10, wait=10, lag_once_in=11, hits_only=True)).trace


def test_a_wait_of_the_lease_times_1_1_is_enough_for_a_clock_that_shows_10_of_11_ticks() -> None:
    found = explore_model(Rules(lease=10, wait=11, lag_once_in=11, hits_only=True))
    assert found.trace is None, found.story()


def test_a_wait_of_the_lease_times_1_1_is_too_short_for_a_clock_that_shows_9_of_10_ticks() -> None:
    """The factor is one between two rates: a clock slow by a whole tenth needs 10/9, or the margin."""
    assert explore_model(Rules(lease=10, wait=11, lag_once_in=10, hits_only=True)).trace


def test_a_slow_clock_is_made_up_for_with_loads_and_losses_too() -> None:
    """At a coarser ratio, 1 of 2 ticks, at which the whole model is small enough."""
    assert explore_model(Rules(lease=1, wait=1, lag_once_in=2)).trace
    found = explore_model(Rules(lease=1, wait=2, lag_once_in=2))
    assert found.trace is None, found.story()


@pytest.mark.parametrize("under_lock", [True, False], ids=["under the lock", "after the commit"])
@pytest.mark.parametrize("leases", [(1, 2, 3), (0, 1, 2)], ids=str)
def test_however_the_lease_is_changed_no_acknowledged_revocation_is_accepted(
    leases: tuple[int, ...], under_lock: bool
) -> None:
    found = explore_lease_change(lease_change.Rules(leases, under_lock=under_lock))
    assert found.trace is None, found.story()


@pytest.mark.parametrize("under_lock", [True, False], ids=["under the lock", "after the commit"])
@pytest.mark.parametrize("ingredient", lease_change.Ingredient)
def test_if_the_lease_is_changed_without_this_one_is(
    ingredient: lease_change.Ingredient, under_lock: bool
) -> None:
    assert explore_lease_change(lease_change.Rules(without=ingredient, under_lock=under_lock)).trace


def count_to_ten(number: int) -> Iterator[tuple[str, int]]:
    for step in (1, 2):
        if number + step <= 10:
            yield f"+{step}", number + step


def test_an_exploration_without_a_trace_has_been_in_every_state() -> None:
    assert explore(0, count_to_ten, lambda number: number >= 0, STATES_MAX) == Exploration(11, None)


def test_a_trace_is_as_short_as_any_and_ends_where_the_invariant_breaks() -> None:
    found = explore(0, count_to_ten, lambda number: number < 5, STATES_MAX)
    assert found.trace is not None
    assert [number for _, number in found.trace][-1] == 5
    assert len(found.trace) == 3
    assert "+2\n        5" in found.story() or "+1\n        5" in found.story()


def test_a_start_that_breaks_the_invariant_has_an_empty_trace() -> None:
    assert explore(0, count_to_ten, lambda number: number > 0, STATES_MAX).trace == ()


def test_an_exploration_that_would_stop_early_fails() -> None:
    with pytest.raises(TooManyStatesError):
        explore(0, count_to_ten, lambda number: True, states_max=10)
