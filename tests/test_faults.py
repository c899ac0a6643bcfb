"""Whatever breaks, the answer is right or 503; and when it is whole again nobody has to do anything."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import need
from tests.faults.run import run
from tests.faults.sites import PLANS, Plan, built

pytestmark = pytest.mark.slow

AT_ONCE = 4

Violations = dict[str, list[str]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Violations]]]:
    """All that is possible here, some at once: most of the time they wait."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {
            plan.name: pool.submit(violations, plan)
            for plan in PLANS
            if plan.possible(tmp_path_factory.mktemp("possible"))
        }


def violations(plan: Plan) -> Violations:
    with built(plan) as site:
        return {fault.name: run(site, fault).violations for fault in site.faults}


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.name)
def test_what_was_acknowledged_holds_through_a_fault_and_service_returns_by_itself(
    plan: Plan, tmp_path: Path, runs: dict[str, Future[Violations]]
) -> None:
    need(plan.possible(tmp_path), plan.needs)
    found = runs[plan.name].result()
    assert found == {fault: [] for fault in found}
    assert found
