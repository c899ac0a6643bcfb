"""Each hole's test fails when the hole is reopened: it is known to be able to."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.reopened import REOPENED

pytestmark = pytest.mark.slow
FOLDER = Path(__file__).parent


@pytest.mark.parametrize("hole", REOPENED)
def test_the_test_of_a_hole_fails_when_it_is_reopened(hole: str) -> None:
    _, selection, database = REOPENED[hole]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:schemathesis",
         "-k", selection,
         *(str(FOLDER / name) for name in ("test_holes.py", "test_table.py", "test_verify.py"))],
        env={**os.environ, "TEST_REOPENED": hole, "TEST_DATABASES": database},
        cwd=FOLDER.parent,
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert run.returncode == 1, f"{run.stdout[-2000:]}{run.stderr[-2000:]}"
    assert "FAILED" in run.stdout
    assert " error" not in run.stdout.splitlines()[-1], run.stdout[-2000:]
