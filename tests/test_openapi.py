"""The served OpenAPI document describes every answer, and nothing it describes is answered with 5xx."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from tests.accounts import Accounts
from tests.serving import Serving

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def document(server: Serving) -> Any:
    return requests.get(f"http://127.0.0.1:{server.port}/openapi.json", timeout=10).json()


# Login answers wrong credentials with 400, by its contract, and unknown parameters are ignored, not
# refused. The others are about a sequence of calls, or about authentication, which this test sets.
EXCLUDED = {
    "positive_data_acceptance",
    "negative_data_rejection",
    "ignored_auth",
    "missing_required_header",
    "use_after_free",
    "ensure_resource_availability",
    "object_level_authorization",
}


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("authorized", [True, False], ids=["token", "no token"])
def test_no_answer_is_undescribed_or_5xx(
    authorized: bool, accounts: Accounts, server: Serving, document: Any
) -> None:
    person = accounts.add_person(token_limit=5000)
    schema = schemathesis.openapi.from_dict(document)
    schema.config.base_url = f"http://127.0.0.1:{server.port}"
    load_all_checks()
    checks = [check for check in CHECKS.get_all() if check.__name__ not in EXCLUDED]
    assert len(checks) >= 5
    tried: Counter[str] = Counter()
    token = accounts.log_in(person)

    def attempt(case: Any) -> None:
        nonlocal token
        headers = {"Authorization": f"Token {token}"} if authorized else {}
        response = case.call(headers=headers)
        tried[case.operation.path] += 1
        case.validate_response(response, checks=checks)
        if "logout" in case.operation.path and response.status_code == 204:
            token = accounts.log_in(person)

    limits = settings(max_examples=50, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    for found in schema.get_all_operations():
        operation: Any = found.ok()  # type: ignore[union-attr]
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            strategy = operation.as_strategy(generation_mode=mode)
            try:
                limits(given(case=strategy)(attempt))()
            except Unsatisfiable:
                # Nothing can be wrong with a request that has no parameters and no body.
                assert mode is GenerationMode.NEGATIVE
    assert set(tried) == set(document["paths"])


def test_the_page_loads_nothing_from_outside(server: Serving) -> None:
    base = f"http://127.0.0.1:{server.port}"
    page = requests.get(f"{base}/docs", timeout=10)
    assert page.status_code == 200
    sources = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert sources
    for source in sources:
        assert source.startswith(("/", "data:"))
        if source.startswith("/"):
            assert requests.get(base + source, timeout=10).status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_every_route_is_in_the_document(document: Any) -> None:
    assert document["openapi"].startswith("3.1")
    assert {path: sorted(methods) for path, methods in document["paths"].items()} == {
        "/api/auth/events/": ["get"],
        "/api/auth/introspect/": ["post"],
        "/api/auth/login/": ["post"],
        "/api/auth/logout/": ["post"],
        "/api/auth/logoutall/": ["post"],
        "/api/auth/password/": ["post"],
        "/api/auth/revoke/": ["post"],
        "/api/auth/tokens/": ["get", "post"],
        "/api/auth/tokens/{token_id}/": ["delete"],
        "/api/auth/tokens/{token_id}/children/": ["get"],
        "/api/auth/verify/": ["get"],
        "/api/v1/organizations/": ["get"],
        "/health/live/": ["get"],
        "/health/ready/": ["get"],
    }


def test_the_api_page_of_the_docs_names_every_route(document: Any) -> None:
    page = (Path(__file__).parent.parent / "docs" / "api.md").read_text("utf-8")
    for path in document["paths"]:
        assert path.replace("{token_id}", "<id>") in page
