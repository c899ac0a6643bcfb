"""Promise 2 while PostgreSQL changes its primary: a pulse in each read is enough, each part of it needed.

`failover` says what is modelled; `pulse_row` is the alternative of decision 0010.
"""

from collections.abc import Callable
from functools import partial

import pytest

from tests.feed_model import failover, pulse_row
from tests.feed_model.explore import Exploration, explore
from tests.feed_model.failover import Ingredient, Known, Rules, Server, State

STATES_MAX = 300_000

NEEDS = {
    Ingredient.READ_BEFORE_PULSE: Rules(raises=True),
    Ingredient.CLEARING: Rules(revivals=True),
    Ingredient.CLEAN_LOGIN: Rules(login=True),
}

pytestmark = pytest.mark.slow


def keeps_both_promises(state: State) -> bool:
    return failover.keeps_promise(state) and failover.keeps_what_was_told(state)


def explore_failover(
    rules: Rules, holds: Callable[[State], bool] = keeps_both_promises
) -> Exploration[State]:
    return explore(failover.initial(rules), partial(failover.steps, rules), holds, STATES_MAX)


def explore_pulse_row(rules: pulse_row.Rules) -> Exploration[pulse_row.State]:
    steps = partial(pulse_row.steps, rules)
    return explore(pulse_row.State(), steps, pulse_row.keeps_promise, STATES_MAX)


@pytest.mark.parametrize(
    "rules",
    [Rules(), Rules(revivals=True), Rules(raises=True), Rules(login=True), Rules(strict=True)],
    ids=["a token", "a revival", "a longer lease", "a login", "lease 0"],
)
def test_through_a_promotion_what_was_told_is_kept_and_no_ended_token_accepted(rules: Rules) -> None:
    found = explore_failover(rules)
    assert found.trace is None, found.story()


@pytest.mark.parametrize("ingredient", Ingredient)
def test_without_this_ingredient_a_promotion_breaks_a_promise(ingredient: Ingredient) -> None:
    rules = NEEDS.get(ingredient, Rules())._replace(without=ingredient)
    assert explore_failover(rules).trace


@pytest.mark.parametrize(
    "ingredient", [Ingredient.PULSE, Ingredient.CLEAN_PULSE, Ingredient.PULSE_WHEN_ASKED_AGAIN]
)
def test_with_lease_0_too_a_promise_is_broken_without(ingredient: Ingredient) -> None:
    assert explore_failover(Rules(strict=True, without=ingredient)).trace


@pytest.mark.parametrize("server", Server)
def test_a_revocation_is_told_on_either_server_after_the_promotion(server: Server) -> None:
    """So the promises are not kept by telling nobody; on P by a confirmation that was long on its way."""

    def not_told(state: State) -> bool:
        waits = state.promoted and state.revoker and state.revoker.stage is failover.Stage.WAITS
        return not (waits and state.revoker and state.revoker.server is server)

    assert explore_failover(Rules(), not_told).trace


def test_until_it_is_told_a_token_ended_on_the_new_primary_may_be_accepted_on_the_old() -> None:
    """So the promises are not kept by refusing everything; this is what the revoker waits for."""

    def refuses(state: State) -> bool:
        ended = state.promoted and failover.Record.REVOCATION in state.standby
        accepts = state.timeline is Server.P and state.known is Known.LIVE and state.lease_left
        return not (ended and failover.Record.REVOCATION not in state.primary and accepts)

    assert explore_failover(Rules(), refuses).trace


@pytest.mark.parametrize("login", [True, False], ids=["after a login", "for good"])
def test_a_token_is_refused_rightly_if_its_absence_waits_for_a_read_of_the_feed(login: bool) -> None:
    rules = Rules(refusals=True, login=login, confirmed_absence=True)
    found = explore_failover(rules, failover.keeps_refusals)
    assert found.trace is None, found.story()


@pytest.mark.parametrize("login", [True, False], ids=["after a login", "and accepted later"])
def test_otherwise_a_process_on_the_old_primary_may_refuse_it_wrongly_for_a_lease(login: bool) -> None:
    """No promise about ended tokens: it refuses one just issued, or one whose end was never told."""
    assert explore_failover(Rules(refusals=True, login=login), failover.keeps_refusals).trace


@pytest.mark.parametrize("rules", [pulse_row.Rules(lease=1), pulse_row.Rules(lease=2, pulses_max=4)], ids=str)
def test_a_shared_row_of_pulses_would_be_enough_as_well(rules: pulse_row.Rules) -> None:
    found = explore_pulse_row(rules)
    assert found.trace is None, found.story()


def test_it_would_not_if_a_read_counted_from_1_behind_the_confirmed_pulse() -> None:
    assert explore_pulse_row(pulse_row.Rules(behind=1)).trace


@pytest.mark.parametrize("ingredient", pulse_row.Ingredient)
def test_it_would_not_without(ingredient: pulse_row.Ingredient) -> None:
    assert explore_pulse_row(pulse_row.Rules(without=ingredient)).trace
