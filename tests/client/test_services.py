"""The same guarantees against Nightlatch and against knox, over real sockets."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import requests

from nightlatch_client import (
    BodyNotRepeatable,
    FileCache,
    LimitReached,
    LoginRefused,
    MemoryCache,
    TokenAuth,
)
from nightlatch_client.requests_auth import RequestsTokenAuth
from tests.client.services import KnoxService, NightlatchService, auth_for

PATH = "/api/v1/organizations/"
LENGTH = {"Content-Length": "2"}
"""wsgiref, which knox runs on here, knows no chunks."""
Service = NightlatchService | KnoxService


def test_a_first_request_logs_in_and_the_next_ones_reuse_the_token(service: Service, tmp_path: Path) -> None:
    for _ in range(3):
        with httpx.Client(base_url=service.url, auth=auth_for(service, tmp_path)) as client:
            for _ in range(3):
                answer = client.get(PATH)
                assert (answer.status_code, answer.json()["results"][0]["uuid"]) == (
                    200,
                    service.organization_id,
                )
    assert service.logins() == 1


def test_requests_and_httpx_share_the_token(service: Service, tmp_path: Path) -> None:
    with httpx.Client(base_url=service.url, auth=auth_for(service, tmp_path)) as client:
        assert client.get(PATH).status_code == 200
    auth = RequestsTokenAuth(
        service.url, service.username, service.password, service.organization_id, cache=FileCache(tmp_path)
    )
    with requests.Session() as session:
        session.auth = auth
        assert session.get(service.url + PATH, timeout=30).status_code == 200
        assert service.logins() == 1
        service.revoke_all()
        answer = session.get(service.url + PATH, timeout=30)
        assert (answer.status_code, [one.status_code for one in answer.history]) == (200, [401])
    assert (service.logins(), service.live_tokens()) == (2, 1)


def test_requests_without_any_token_logs_in_and_repeats_a_body_from_a_file(
    service: Service, tmp_path: Path
) -> None:
    auth = RequestsTokenAuth(
        service.url, service.username, service.password, service.organization_id, cache=FileCache(tmp_path)
    )
    (tmp_path / "body").write_bytes(b"{}")
    with requests.Session() as session, (tmp_path / "body").open("rb") as body:
        session.auth = auth
        session.get(service.url + PATH, timeout=30)
        service.revoke_all()
        session.put(service.url + PATH, data=body, timeout=30)
        assert service.logins() == 2
        service.revoke_all()
        with pytest.raises(BodyNotRepeatable):
            session.put(service.url + PATH, data=iter([b"{}"]), timeout=30)


@pytest.mark.parametrize("end", ["revoke_all", "expire_all"])
def test_a_token_that_ended_is_replaced_and_the_request_repeated_once(
    end: str, service: Service, tmp_path: Path
) -> None:
    with httpx.Client(base_url=service.url, auth=auth_for(service, tmp_path)) as client:
        client.get(PATH)
        getattr(service, end)()
        answer = client.get(PATH)
        assert (answer.status_code, [one.status_code for one in answer.history]) == (200, [401])
    assert (service.logins(), service.live_tokens()) == (2, 1)


def test_a_hundred_tasks_log_in_once_and_once_more_when_it_is_revoked(
    service: Service, tmp_path: Path
) -> None:
    async def work() -> None:
        limits = httpx.Limits(max_connections=10)
        auth = auth_for(service, tmp_path)
        async with httpx.AsyncClient(base_url=service.url, auth=auth, limits=limits, timeout=60) as client:
            for _ in range(2):
                answers = await asyncio.gather(*(client.get(PATH) for _ in range(100)))
                assert {answer.status_code for answer in answers} == {200}
                await asyncio.to_thread(service.revoke_all)

    asyncio.run(work())
    assert service.logins() == 2


def test_a_body_that_can_be_sent_once_only_is_a_clear_error_and_the_next_try_succeeds(
    service: Service, tmp_path: Path
) -> None:
    def body() -> Iterator[bytes]:
        yield b"{}"

    async def async_body() -> AsyncIterator[bytes]:
        yield b"{}"

    with httpx.Client(base_url=service.url, auth=auth_for(service, tmp_path)) as client:
        assert client.put(PATH, content=body(), headers=LENGTH).status_code == 405
        service.revoke_all()
        with pytest.raises(BodyNotRepeatable, match="make the request again"):
            client.put(PATH, content=body(), headers=LENGTH)
        assert client.put(PATH, content=body(), headers=LENGTH).status_code == 405

    async def work() -> None:
        async with httpx.AsyncClient(base_url=service.url, auth=auth_for(service, tmp_path)) as client:
            await asyncio.to_thread(service.revoke_all)
            with pytest.raises(BodyNotRepeatable):
                await client.put(PATH, content=async_body(), headers=LENGTH)
            assert (await client.put(PATH, content=async_body(), headers=LENGTH)).status_code == 405

    asyncio.run(work())
    assert service.logins() == 3


def test_a_wrong_password_is_tried_once_for_all_who_wait(service: Service, tmp_path: Path) -> None:
    wrong = TokenAuth(
        service.url, service.username, "a wrong one", service.organization_id, cache=FileCache(tmp_path)
    )
    errors: list[Exception] = []

    def ask() -> None:
        with httpx.Client(base_url=service.url, auth=wrong) as client:
            barrier.wait()
            try:
                client.get(PATH)
            except LoginRefused as error:
                errors.append(error)

    barrier = threading.Barrier(8)
    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(errors) == 8
    assert "Unable to log in with provided credentials." in str(errors[0])
    # The right one is not held up by what somebody else got wrong.
    with httpx.Client(base_url=service.url, auth=auth_for(service, tmp_path)) as client:
        assert client.get(PATH).status_code == 200


def test_another_organization_is_refused_and_shares_no_token(service: Service, tmp_path: Path) -> None:
    with httpx.Client(base_url=service.url, auth=auth_for(service, tmp_path)) as client:
        client.get(PATH)
    other = TokenAuth(service.url, service.username, service.password, "zzzzzz", cache=FileCache(tmp_path))
    with httpx.Client(base_url=service.url, auth=other) as client, pytest.raises(LoginRefused):
        client.get(PATH)


def test_at_the_limit_the_error_lists_the_tokens_where_the_service_can(
    service: Service, tmp_path: Path
) -> None:
    for number in range(20):
        with httpx.Client(base_url=service.url, auth=auth_for(service, tmp_path / str(number))) as client:
            client.get(PATH)
    auth = auth_for(service, tmp_path / "another")
    with httpx.Client(base_url=service.url, auth=auth) as client, pytest.raises(LimitReached) as caught:
        client.get(PATH)
    if isinstance(service, KnoxService):
        assert caught.value.tokens is None
        return
    assert caught.value.tokens is not None
    assert len(caught.value.tokens) == 20
    # Room is made without a token.
    assert auth.revoke(caught.value.tokens[0].id)
    assert not auth.revoke(caught.value.tokens[0].id)
    with httpx.Client(base_url=service.url, auth=auth) as client:
        assert client.get(PATH).status_code == 200


def test_logging_in_anew_ends_the_token_that_is_replaced_and_logging_out_ends_it_for_all(
    service: Service, tmp_path: Path
) -> None:
    auth, other = auth_for(service, tmp_path), auth_for(service, tmp_path)
    with httpx.Client(base_url=service.url, auth=other) as client:
        client.get(PATH)
        auth.log_in()
        assert (service.logins(), service.live_tokens()) == (2, 1)
        # Who still has the old one is answered with 401, looks into the cache and goes on.
        assert client.get(PATH).status_code == 200
        assert service.logins() == 2
    assert auth.log_out()
    assert not auth.log_out()
    assert service.live_tokens() == 0


def test_a_memory_cache_is_shared_by_those_who_have_it(service: Service) -> None:
    cache = MemoryCache()
    for _ in range(3):
        auth = TokenAuth(
            service.url, service.username, service.password, service.organization_id, cache=cache
        )
        with httpx.Client(base_url=service.url, auth=auth) as client:
            assert client.get(PATH).status_code == 200
    assert service.logins() == 1
