"""One token for all processes and threads of a machine, whatever happens to it. Full size:
tests/client/__main__.py; against knox with all that happens, too.
"""

from pathlib import Path

import pytest

from tests.client.crowd import EVENTS, Size, run_crowd
from tests.client.services import KnoxService, NightlatchService

SIZES = {"nightlatch": Size(8, 4, 25), "knox": Size(4, 4, 10)}
pytestmark = pytest.mark.slow


RUNS = [("nightlatch", event) for event in EVENTS] + [("knox", "nothing"), ("knox", "revoked")]


@pytest.mark.parametrize(("running_service", "event"), RUNS, indirect=["running_service"], scope="module")
def test_a_crowd_logs_in_once_and_no_request_fails(
    event: str, service: NightlatchService | KnoxService, tmp_path: Path
) -> None:
    size = SIZES["knox" if isinstance(service, KnoxService) else "nightlatch"]
    seen = run_crowd(service, event, size, tmp_path / "cache")
    assert seen.outcomes == {"200": size.total}
    # A token that is revoked or expires costs one more login.
    assert (seen.logins, seen.live_tokens) == (EVENTS[event][1], 1)
