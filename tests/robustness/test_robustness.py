"""The promises hold under load with every kind of fault, for as long as a test may take.

`python -m tests.robustness` runs the same for longer. What is asserted of the amounts keeps this from
passing because nothing happened.
"""

import json
import os
import random
import shutil
from collections import Counter

import pytest

from tests.conftest import DATABASES
from tests.robustness.check import Rule
from tests.robustness.history import SHUT_OUTS, Kind, Outcome
from tests.robustness.nodes import VERIFIERS
from tests.robustness.run import run

OPERATIONS = 20_000
CLOSE_VERIFIES_MIN = 1000
VERIFIER_ANSWERS_MIN = 300
CALM_SECONDS = (0.0, 0.3)

_SYSTEMS = [kind for kind in DATABASES if kind in ("sqlite", "postgresql-18")]
_REOPENED = [
    (kind, hole, with_faults)
    for kind, hole, with_faults in (
        ("sqlite", "file_is_not_asked", False),
        ("sqlite", "fills_are_not_checked", True),
        ("postgresql-18", "revoker_does_not_wait", False),
        ("postgresql-18", "lease_never_ends", True),
    )
    if kind in _SYSTEMS
]

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", _SYSTEMS)
def test_no_promise_is_broken_by_any_fault_under_load(kind: str) -> None:
    seed = int(os.environ.get("TEST_SEED", random.randrange(2**32)))
    report = run(kind, OPERATIONS, seed, seconds_max=180, calm_seconds=CALM_SECONDS)
    summary = json.dumps(report.summary(), indent=2)
    assert report.is_sound, summary
    assert report.all_faults_injected, summary
    assert report.findings.close_verifies >= CLOSE_VERIFIES_MIN, summary
    assert report.findings.warm_endings > 0, summary
    by_verifier = Counter(call.outcome for call in report.history.operations if call.node in VERIFIERS)
    assert min(by_verifier[Outcome.OK], by_verifier[Outcome.REFUSED]) >= VERIFIER_ANSWERS_MIN, by_verifier
    done = {kind for (kind, outcome) in report.findings.operations if outcome is Outcome.OK}
    missing = {Kind.LOGIN, Kind.LOGOUT, Kind.LOGOUTALL, Kind.REVOKE, Kind.DELETE_ROW, *SHUT_OUTS} - done
    assert missing <= {Kind.CLOSE}, summary


@pytest.mark.parametrize("kind,hole,with_faults", _REOPENED, ids=lambda value: str(value))
def test_a_build_with_a_hole_reopened_is_found_out(kind: str, hole: str, with_faults: bool) -> None:
    patches = ("slow_fill", hole)
    operations = 40_000 if with_faults else 5000
    report = run(
        kind,
        operations,
        1,
        patches=patches,
        seconds_max=90,
        calm_seconds=CALM_SECONDS,
        with_faults=with_faults,
    )
    shutil.rmtree(report.folder, ignore_errors=True)
    assert report.findings.violation_counts[Rule.ENDED_ACCEPTED] > 0
