"""The services that the client's tests run against."""

from collections.abc import Iterator

import pytest

from tests.client.services import KINDS, KnoxService, NightlatchService, start_service


@pytest.fixture(scope="module", params=KINDS)
def running_service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NightlatchService | KnoxService]:
    service = start_service(request.param, tmp_path_factory.mktemp(request.param))
    yield service
    service.close()


@pytest.fixture
def service(running_service: NightlatchService | KnoxService) -> NightlatchService | KnoxService:
    """The service, with a user who has never logged in."""
    running_service.renew()
    return running_service
