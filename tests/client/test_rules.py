"""The client's rules, on the fake server that it ships, with a clock that is set by hand."""

import asyncio
import contextlib
import gc
import io
import itertools
import logging
import os
import ssl
import stat
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests

from nightlatch_client import (
    AsyncRetryingClient,
    BodyNotRepeatable,
    CacheError,
    FileCache,
    KeyringCache,
    LoginBusy,
    LoginRefused,
    MemoryCache,
    Overloaded,
    PlainHttpRefused,
    RetryingClient,
    Throttled,
    TokenAuth,
    UnexpectedAnswer,
    WrongOrigin,
)
from nightlatch_client.cache import Lock
from nightlatch_client.kept import Entry
from nightlatch_client.requests_auth import RequestsTokenAuth
from nightlatch_client.testing import FakeServer, ManualClock

AUTH = "https://auth.example.com"
CANARY = "canary-7351"
API = "https://api.example.com"
USERNAME, PASSWORD, ORGANIZATION = "hari@example.com", f"pässword-{CANARY}", "auhf2k"
PATH = "/api/v1/things/"
DAY = 24 * 3600.0


class World:
    """A fake server, a clock and a cache that several clients have in common."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.server = FakeServer(self.clock)
        self.server.add_user(USERNAME, PASSWORD, ORGANIZATION)
        self.cache = MemoryCache()

    def auth(self, password: Any = PASSWORD, **options: Any) -> TokenAuth:
        options = {"cache": self.cache, "clock": self.clock, "client": self.own_client, **options}
        return TokenAuth(AUTH, USERNAME, password, ORGANIZATION, **options)

    def own_client(self) -> httpx.Client:
        return RetryingClient(transport=self.server.transport, clock=self.clock)

    def client(self, auth: TokenAuth | None = None, **options: Any) -> httpx.Client:
        options = {"transport": self.server.transport, "base_url": API, **options}
        return RetryingClient(auth=auth or self.auth(), clock=self.clock, **options)

    def asked(self) -> list[tuple[str, int]]:
        return [(path, status) for _, path, status in self.server.requests]


@pytest.fixture
def world() -> World:
    return World()


def renewed(auth: TokenAuth) -> None:
    """Wait for what goes on in the background."""
    assert auth._background is not None
    auth._background.join()


def ended() -> None:
    """Wait for what goes on in the background, if anything does."""
    for thread in threading.enumerate():
        if thread.name == "nightlatch-client":
            thread.join()


# Renewal.


def test_a_token_is_renewed_ahead_of_its_end_and_no_request_waits_for_it(world: World) -> None:
    auth = world.auth()
    client = world.client(auth)
    client.get(PATH)
    world.clock.advance(29 * DAY - 1)
    client.get(PATH)
    assert (world.server.logins, auth._background) == (1, None)
    world.clock.advance(2)
    before = len(world.server.requests)
    client.get(PATH)
    renewed(auth)
    paths = [path for path, _ in world.asked()[before:]]
    # The request went out with the old token, the login and the old one's end beside it.
    assert sorted(paths) == sorted([PATH, "/api/auth/login/", "/api/auth/logout/"])
    assert paths.index("/api/auth/login/") < paths.index("/api/auth/logout/")
    assert (world.server.logins, world.server.live_tokens()) == (2, 1)
    assert client.get(PATH).history == []


def test_others_use_the_renewed_token_a_second_later_without_a_refusal(world: World) -> None:
    first, second = world.auth(), world.auth()
    world.client(first).get(PATH)
    world.client(second).get(PATH)
    world.clock.advance(29 * DAY + 1)
    world.client(first).get(PATH)
    renewed(first)
    answer = world.client(second).get(PATH)
    assert (answer.status_code, answer.history, world.server.logins) == (200, [], 2)


def test_a_background_that_fails_is_told_to_nobody_and_tried_a_minute_later(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    auth = world.auth()
    client = world.client(auth)
    client.get(PATH)
    world.clock.advance(29 * DAY + 1)
    world.server.token_limit = 1
    client.get(PATH)
    renewed(auth)
    assert [record.levelname for record in caplog.records if record.name == "nightlatch_client"] == [
        "WARNING"
    ]
    attempts = world.server.attempts
    for _ in range(50):
        world.clock.advance(1)
        assert client.get(PATH).status_code == 200
    assert world.server.attempts == attempts
    world.server.token_limit = 2
    world.clock.advance(12)
    client.get(PATH)
    renewed(auth)
    assert (world.server.logins, world.server.live_tokens()) == (2, 1)


def test_a_renewal_that_nobody_answers_keeps_no_process_for_long_and_is_not_tried_by_each(
    world: World,
) -> None:
    attempts = []

    def unreachable(request: httpx.Request) -> httpx.Response:
        attempts.append(request)
        raise httpx.ConnectError("nobody listens")

    world.client().get(PATH)
    world.clock.advance(29 * DAY + 1)
    for _ in range(5):
        auth = world.auth(
            client=lambda: RetryingClient(transport=httpx.MockTransport(unreachable), clock=world.clock)
        )
        assert world.client(auth).get(PATH).status_code == 200
        ended()
    assert 0 < sum(world.clock.slept) <= 2
    before = len(attempts)
    world.clock.advance(61)
    auth = world.auth()
    assert world.client(auth).get(PATH).status_code == 200
    ended()
    assert (len(attempts), world.server.logins, world.server.live_tokens()) == (before, 2, 1)


def test_a_token_that_ends_soon_is_not_sent_any_more(world: World) -> None:
    client = world.client()
    client.get(PATH)
    world.clock.advance(30 * DAY - 4)
    assert client.get(PATH).history == []
    assert world.server.logins == 2


@pytest.mark.parametrize("skew", [-400 * DAY, 400 * DAY])
def test_a_wrong_clock_does_not_make_every_request_log_in(world: World, skew: float) -> None:
    wrong = ManualClock(world.clock.wall() + skew)
    client = world.client(world.auth(clock=wrong))
    for _ in range(5):
        assert client.get(PATH).status_code == 200
    assert world.server.logins == 1


def test_a_token_without_an_end_is_kept(world: World) -> None:
    world.server.time_to_live = None
    client = world.client()
    client.get(PATH)
    world.clock.advance(4000 * DAY)
    assert client.get(PATH).status_code == 200
    assert world.server.logins == 1


# Refusals.


def test_an_api_that_refuses_every_token_does_not_use_up_the_limit(world: World) -> None:
    def refusing(request: httpx.Request) -> httpx.Response:
        if request.url.host == "api.example.com":
            return httpx.Response(401)
        return world.server.transport.handle_request(request)

    for minute in range(1, 4):
        for _ in range(20):
            auth = world.auth()
            client = world.client(auth, transport=httpx.MockTransport(refusing))
            assert client.get(PATH).status_code == 401
            if auth._background is not None:
                auth._background.join()
        # The first had no token to begin with.
        assert (world.server.logins, world.server.live_tokens()) == (minute, 1)
        world.clock.advance(61)


@pytest.mark.parametrize(("status", "is_repeated"), [(303, False), (302, False), (307, True)])
def test_a_request_that_was_done_is_not_repeated_for_a_401_behind_its_redirect(
    world: World, status: int, is_repeated: bool
) -> None:
    seen: list[str] = []

    def redirecting(request: httpx.Request) -> httpx.Response:
        if request.url.host != "api.example.com":
            return world.server.transport.handle_request(request)
        seen.append(f"{request.method} {request.url.path}")
        if request.url.path == "/create":
            return httpx.Response(status, headers={"Location": "/done"})
        return httpx.Response(401 if seen.count(seen[-1]) == 1 else 200)

    auth = world.auth()
    auth.token()
    with world.client(auth, transport=httpx.MockTransport(redirecting), follow_redirects=True) as client:
        answer = client.post("/create", json={})
    if is_repeated:  # 307 sends the same request on: nothing was done before the 401
        assert (answer.status_code, seen) == (200, ["POST /create", "POST /done"] * 2)
    else:
        assert (answer.status_code, seen) == (401, ["POST /create", "GET /done"])


def test_a_token_in_the_cache_that_is_dead_too_is_replaced(world: World) -> None:
    first, second = world.client(world.auth()), world.client(world.auth())
    first.get(PATH)
    second.get(PATH)
    world.server.revoke_all()
    first.get(PATH)
    world.server.revoke_all()
    assert second.get(PATH).status_code == 200
    assert world.server.logins == 3


def test_a_login_that_is_throttled_waits_as_long_as_was_asked_but_not_for_ever(world: World) -> None:
    world.server.fail_next(429, retry_after=20)
    assert world.client().get(PATH).status_code == 200
    assert max(world.clock.slept) >= 20
    world.server.revoke_all()
    world.server.fail_next(429, times=9, retry_after=60)
    with pytest.raises(Throttled) as caught:
        world.client(world.auth(cache=MemoryCache())).get(PATH)
    assert caught.value.retry_after == 60


def test_what_the_service_asked_to_wait_holds_for_later_requests_too(world: World) -> None:
    world.server.fail_next(429, times=1, retry_after=600)
    for second in range(30):
        with pytest.raises(Throttled) as caught:
            world.client(world.auth()).get(PATH)
        assert caught.value.retry_after == 600 - second
        world.clock.advance(1)
    assert len(world.server.requests) == 1
    # So long as a login waits anyway, it waits.
    world.clock.advance(550)
    assert world.client().get(PATH).status_code == 200
    assert 20 <= sum(world.clock.slept) <= 21


def test_a_wrong_password_is_not_tried_with_each_request_but_when_it_is_asked_for(world: World) -> None:
    wrong = world.auth(password="no")
    for _ in range(30):
        with pytest.raises(LoginRefused, match="Unable to log in"), world.client(wrong) as client:
            client.get(PATH)
    assert world.server.attempts == 1
    world.clock.advance(11)
    with pytest.raises(LoginRefused):
        world.client(wrong).get(PATH)
    assert world.server.attempts == 2
    with pytest.raises(LoginRefused, match=r"0 seconds ago.*in 10 seconds"):
        wrong.token()
    with pytest.raises(LoginRefused):
        wrong.log_in()
    assert world.server.attempts == 3
    # Another password is not held up.
    assert world.auth().token()


def test_a_login_at_an_overloaded_service_is_repeated_within_patience(world: World) -> None:
    world.server.fail_next(503, times=2, retry_after=1)
    assert world.client().get(PATH).status_code == 200
    world.server.fail_next(503, times=1000)
    begin = world.clock.monotonic()
    with pytest.raises(Overloaded):
        world.client(world.auth(cache=MemoryCache())).get(PATH)
    assert world.clock.monotonic() - begin <= 31
    assert world.server.attempts == 1  # the others were answered by the failure, and counted nowhere


@pytest.mark.parametrize(
    ("method", "status", "attempts"), [("GET", 503, 2), ("DELETE", 429, 2), ("POST", 503, 1), ("GET", 500, 1)]
)
def test_an_idempotent_request_is_repeated_after_an_answer_worth_waiting_for(
    world: World, method: str, status: int, attempts: int
) -> None:
    client = world.client()
    client.get(PATH)
    before = len(world.server.requests)
    world.server.fail_next(status, retry_after=7)
    answer = client.request(method, PATH)
    assert len(world.server.requests) - before == attempts
    assert (answer.status_code == status) == (attempts == 1)
    assert attempts == 1 or sum(world.clock.slept) >= 7


class Losing(httpx.BaseTransport):
    """Loses the answer, or the request, of those that `choose` picks; so many times."""

    def __init__(
        self, world: World, choose: Callable[[httpx.Request], bool], error: type, times: int
    ) -> None:
        self.world, self.choose, self.error, self.times = world, choose, error, times

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self.times and self.choose(request):
            self.times -= 1
            if self.error is not httpx.ConnectError:
                self.world.server.transport.handle_request(request)
            raise self.error("lost")
        return self.world.server.transport.handle_request(request)


@pytest.mark.parametrize(
    ("method", "error", "repeated"),
    [
        ("GET", httpx.ReadError, True),
        ("GET", httpx.RemoteProtocolError, True),
        ("PUT", httpx.ReadTimeout, True),
        ("POST", httpx.ReadError, False),
        ("POST", httpx.ConnectError, True),
    ],
)
def test_what_was_lost_is_repeated_where_that_is_safe(
    world: World, method: str, error: type, repeated: bool
) -> None:
    transport = Losing(world, lambda request: request.url.path == PATH, error, 2)
    client = world.client(transport=transport)
    if repeated:
        assert client.request(method, PATH, json={}).status_code == 200
    else:
        with pytest.raises(error):
            client.request(method, PATH, json={})


def test_a_body_from_a_file_that_a_redirect_dropped_is_no_error_of_requests(world: World) -> None:
    refusing = [True]

    class Redirecting(requests.adapters.BaseAdapter):
        def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:  # type: ignore[override]
            response = requests.Response()
            response.request, response.url, response.raw = request, str(request.url), io.BytesIO()
            response.connection = self  # type: ignore[assignment]
            if str(request.url).endswith("/create"):
                response.status_code = 303
                response.headers["Location"] = "/done"
            else:
                response.status_code = 401 if refusing.pop() else 200
                refusing.append(False)
            return response

        def close(self) -> None:
            pass

    auth = RequestsTokenAuth(
        AUTH,
        USERNAME,
        PASSWORD,
        ORGANIZATION,
        cache=world.cache,
        clock=world.clock,
        client=world.own_client,
    )
    auth.token()
    with requests.Session() as session:
        session.mount("https://", Redirecting())
        session.auth = auth
        answer = session.post(f"{API}/create", data=io.BytesIO(b"{}"), timeout=30)
    assert answer.status_code == 200


@pytest.mark.parametrize(("method", "attempts"), [("POST", 1), ("GET", 2)])
def test_a_request_that_was_answered_is_not_repeated_for_a_redirect_to_where_nobody_listens(
    world: World, method: str, attempts: int
) -> None:
    seen: list[str] = []

    def redirecting(request: httpx.Request) -> httpx.Response:
        if request.url.path != "/gone":
            seen.append(request.method)
            return httpx.Response(303, headers={"Location": "/gone"})
        if len(seen) == 2:
            return httpx.Response(200)
        raise httpx.ConnectError("nobody listens")

    with RetryingClient(
        transport=httpx.MockTransport(redirecting), follow_redirects=True, clock=world.clock
    ) as client:
        if attempts == 1:
            with pytest.raises(httpx.ConnectError):
                client.request(method, API)
        else:
            assert client.request(method, API).status_code == 200
    assert len(seen) == attempts


@pytest.mark.parametrize(("times", "succeeds"), [(1, True), (2, False)])
def test_a_login_whose_answer_was_lost_is_repeated_once_and_makes_one_token_too_many_at_most(
    world: World, times: int, succeeds: bool
) -> None:
    client = world.client(transport=Losing(world, is_login, httpx.ReadError, times))
    if succeeds:
        assert client.post(PATH, json={}).status_code == 200
    else:
        with pytest.raises(httpx.ReadError):
            client.post(PATH, json={})
    assert world.server.logins == 2


def is_login(request: httpx.Request) -> bool:
    return request.url.path == "/api/auth/login/"


def test_a_certificate_that_is_not_trusted_is_told_at_once(world: World) -> None:
    def distrusting(request: httpx.Request) -> httpx.Response:
        try:
            raise ssl.SSLCertVerificationError("no")
        except ssl.SSLError as error:
            raise httpx.ConnectError("no") from error

    with pytest.raises(httpx.ConnectError):
        world.client(transport=httpx.MockTransport(distrusting)).get(PATH)
    assert world.clock.slept == []


def test_the_async_client_repeats_too(world: World) -> None:
    world.server.fail_next(503, times=2, retry_after=1)

    async def work() -> int:
        async with AsyncRetryingClient(
            transport=world.server.transport, base_url=API, auth=world.auth(), clock=world.clock
        ) as client:
            await client.get(PATH)
            world.server.fail_next(503)
            return (await client.get(PATH)).status_code

    assert asyncio.run(work()) == 200


def test_who_waits_for_a_hung_login_gives_up(world: World) -> None:
    auth = world.auth()
    assert world.cache.lock_nowait(auth._service.key) is not None
    with pytest.raises(LoginBusy):
        world.client(auth).get(PATH)


# No token is lost, and no place taken for nothing.


class FullCache(MemoryCache):
    """Has no room for tokens; `small`: but for entries without one."""

    def __init__(self, small: bool) -> None:
        super().__init__()
        self.small = small

    def store(self, key: str, entry: Entry) -> None:
        if entry.token is not None or not self.small:
            raise CacheError("No space left on device")
        super().store(key, entry)


@pytest.mark.parametrize(("small", "logins"), [(False, 0), (True, 20)])
def test_a_cache_that_is_full_leaves_no_token_that_nobody_knows(
    world: World, small: bool, logins: int
) -> None:
    auth = world.auth(cache=FullCache(small))
    for _ in range(20):
        with pytest.raises(CacheError):
            world.client(auth).get(PATH)
        ended()
    assert (world.server.logins, world.server.live_tokens()) == (logins, 0)


def body_once() -> Iterator[bytes]:
    yield b"{}"


def test_an_api_that_refuses_every_body_that_can_be_sent_once_makes_a_handful_of_logins_a_minute(
    world: World,
) -> None:
    def refusing(request: httpx.Request) -> httpx.Response:
        if request.url.host == "api.example.com":
            return httpx.Response(401)
        return world.server.transport.handle_request(request)

    for minute in (1, 2):
        for _ in range(20):
            auth = world.auth()  # as in a process of its own
            with world.client(auth, transport=httpx.MockTransport(refusing)) as client:
                with contextlib.suppress(BodyNotRepeatable):
                    assert client.post(PATH, content=body_once()).status_code == 401
                ended()
        assert world.server.logins <= 4 * minute
        assert world.server.live_tokens() == 1
        world.clock.advance(61)


def test_an_api_that_refuses_every_other_request_leaves_one_token_and_makes_a_handful_of_logins(
    world: World,
) -> None:
    count = itertools.count()

    def flapping(request: httpx.Request) -> httpx.Response:
        if request.url.host == "api.example.com":
            return httpx.Response(401 if next(count) % 2 == 1 else 200)
        return world.server.transport.handle_request(request)

    auth = world.auth()
    with world.client(auth, transport=httpx.MockTransport(flapping)) as client:
        for _ in range(25):
            client.get(PATH)
            ended()
    assert (world.server.logins, world.server.live_tokens()) == (4, 1)


def test_logins_that_are_cancelled_leave_one_token_at_most_that_nobody_knows(world: World) -> None:
    class Slow(httpx.AsyncBaseTransport):
        """Lets the service log in, and is cancelled before its answer is there."""

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            answer = world.server.transport.handle_request(request)
            if is_login(request):
                await asyncio.Event().wait()
            return answer

    auth = world.auth()

    async def work() -> list[str]:
        outcomes = []
        async with httpx.AsyncClient(transport=Slow(), auth=auth) as client:
            for _ in range(10):
                try:
                    answer = await asyncio.wait_for(client.get(API + PATH), 0.5)
                    outcomes.append(str(answer.status_code))
                except TimeoutError:
                    outcomes.append("cancelled")
                ended()
        return outcomes

    assert asyncio.run(work()) == ["cancelled"] + ["200"] * 9
    assert (world.server.logins, world.server.live_tokens()) == (2, 2)


# Where secrets may go.


@pytest.mark.parametrize(
    "url", ["http://auth.example.com", "http://10.0.0.1", "http://localhost.example.com"]
)
def test_plain_http_is_refused(url: str) -> None:
    with pytest.raises(PlainHttpRefused):
        TokenAuth(url, USERNAME, PASSWORD, ORGANIZATION)
    TokenAuth(url, USERNAME, PASSWORD, ORGANIZATION, plain_http=True)


@pytest.mark.parametrize(
    "url", ["http://localhost:8000", "http://127.0.0.9", "http://[::1]:8000", "https://a.b"]
)
def test_loopback_and_https_are_not(url: str) -> None:
    TokenAuth(url, USERNAME, PASSWORD, ORGANIZATION)


@pytest.mark.parametrize("url", ["auth.example.com", "ftp://a.b", "https://", "https://u:p@a.b"])
def test_an_unusable_url_is_told(url: str) -> None:
    with pytest.raises(ValueError, match=r"^url or origins: "):
        TokenAuth(url, USERNAME, PASSWORD, ORGANIZATION)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_what_goes_to_this_machine_goes_through_no_proxy_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = FakeServer()
    server.add_user(USERNAME, PASSWORD, ORGANIZATION)
    with server.serving() as url:
        url = url.replace("127.0.0.1", host)
        auth = TokenAuth(url, USERNAME, PASSWORD, ORGANIZATION, cache=MemoryCache())
        auth.log_in()
        with RetryingClient(auth=auth, base_url=url, patience=0) as client:
            assert client.get(PATH).status_code == 200

        async def work() -> int:
            async with AsyncRetryingClient(auth=auth, base_url=url, patience=0) as client:
                return (await client.get(PATH)).status_code

        assert asyncio.run(work()) == 200
        # But for one that was named.
        with (
            RetryingClient(auth=auth, base_url=url, patience=0, proxy="http://127.0.0.1:1") as client,
            pytest.raises(httpx.ConnectError),
        ):
            client.get(PATH)


def test_a_token_goes_to_the_first_origin_and_its_own_service_and_nowhere_else(world: World) -> None:
    client = world.client()
    client.get(PATH)
    assert client.get(f"{AUTH}{PATH}").status_code == 200
    before = len(world.server.requests)
    for url in (
        "https://evil.example.com/",
        "https://api.example.com:444/",
        "https://api.example.com.evil.com/",
    ):
        with pytest.raises(WrongOrigin):
            client.get(url)
    with pytest.raises(PlainHttpRefused):
        client.get("http://api.example.com/")
    assert len(world.server.requests) == before


def test_origins_that_are_named_are_the_only_ones(world: World) -> None:
    with pytest.raises(WrongOrigin):
        world.client(world.auth(origins=[])).get(PATH)
    both = world.client(world.auth(origins=[API, "https://second.example.com"]))
    assert both.get(PATH).status_code == 200
    assert both.get(f"https://second.example.com{PATH}").status_code == 200


def test_a_redirect_to_another_origin_takes_no_token_along_and_makes_no_login(world: World) -> None:
    seen = []

    def redirecting(request: httpx.Request) -> httpx.Response:
        if request.url.host == "evil.example.com":
            seen.append(request.headers.get("authorization"))
            return httpx.Response(401)
        if request.url.host == "api.example.com":
            return httpx.Response(307, headers={"Location": "https://evil.example.com/"})
        return world.server.transport.handle_request(request)

    client = world.client(transport=httpx.MockTransport(redirecting), follow_redirects=True)
    for _ in range(2):
        assert client.get(PATH).status_code == 401
    assert (seen, world.server.logins) == ([None, None], 1)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_login_that_is_redirected_takes_no_password_along(world: World, status: int) -> None:
    bodies = []

    class Redirecting(httpx.BaseTransport):
        """Sends bodies as a real one does: MockTransport would read them beforehand."""

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            assert isinstance(request.stream, httpx.SyncByteStream)
            body = b"".join(request.stream)
            if request.url.host == "evil.example.com":
                bodies.append(body)
                return httpx.Response(200, json={"token": "theirs", "expiry": None})
            return httpx.Response(status, headers={"Location": "https://evil.example.com/api/auth/login/"})

    def reading(request: httpx.Request) -> None:
        request.read()

    for follow in (True, False):
        for hooks in ([], [reading]):
            client = world.client(
                transport=Redirecting(), follow_redirects=follow, event_hooks={"request": hooks}
            )
            with pytest.raises(UnexpectedAnswer, match=r"redirect|status"):
                client.get(PATH)
    assert all(CANARY not in body.decode() for body in bodies)


# Secrets show nowhere.


def always(reply: httpx.Response) -> httpx.MockTransport:
    return httpx.MockTransport(lambda _: reply)


def test_no_secret_shows_in_reprs_logs_errors_and_tracebacks_with_variables(
    world: World, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    shown: list[str] = []

    def show(error: BaseException) -> None:
        found = traceback.TracebackException.from_exception(error, capture_locals=True)
        chain = [found]
        while chain:
            one = chain.pop()
            shown.extend(one.format_exception_only())
            # But for this test's own variables.
            shown.extend(str(frame.locals) for frame in one.stack if frame.filename != __file__)
            chain += [other for other in (one.__cause__, one.__context__) if other is not None]

    auth = world.auth(cache=FileCache(tmp_path))
    client = world.client(auth)
    client.get(PATH)
    tokens = list(world.server._tokens)
    failures: list[Callable[[], Any]] = [
        lambda: client.get("https://evil.example.com/"),
        lambda: world.client(world.auth(cache=MemoryCache(), password=PASSWORD + "x")).get(PATH),
    ]
    for status, body in [
        (400, {"password": [f"'{PASSWORD}' is wrong"]}),
        (200, {"token": tokens[0], "expiry": "never"}),
        (200, {"token": ["no"]}),
        (403, {"error": PASSWORD}),
        (500, None),
    ]:
        reply = httpx.Response(status, json=body)
        failing = world.client(world.auth(cache=MemoryCache()), transport=always(reply))
        failures.append(partial(failing.get, PATH))
    broken = world.client(
        world.auth(cache=MemoryCache()), transport=Losing(world, lambda _: True, httpx.ReadError, 99)
    )
    failures.append(lambda: broken.get(PATH))
    for failure in failures:
        with pytest.raises(Exception) as caught:  # noqa: PT011
            failure()
        show(caught.value)
    world.server.revoke_all()
    answer = client.get(PATH)
    assert all(CANARY not in str(one.request.url) and '"token"' not in one.text for one in answer.history)
    tokens += list(world.server._tokens)
    entry = FileCache(tmp_path).load(auth._service.key)
    shown += [
        repr(auth),
        repr(auth._keeper.__dict__),
        repr(auth.__dict__),
        repr(entry),
        repr(answer),
        caplog.text,
    ]
    text = "\n".join(shown)
    for secret in (CANARY, *tokens):
        assert secret not in text
    assert len(tokens) >= 2


def test_a_password_that_is_no_text_is_told_without_it(world: World) -> None:
    auth = world.auth(password=f"\udce4{CANARY}")
    failures: list[Callable[[], Any]] = [lambda: auth.revoke("id"), auth.list_tokens, auth.log_in]
    for failure in failures:
        with pytest.raises(ValueError, match="password") as caught:
            failure()
        assert CANARY not in repr(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None


# Where tokens are kept.


def test_the_cache_is_a_file_that_only_its_owner_can_read_and_holds_no_password(
    world: World, tmp_path: Path
) -> None:
    os.umask(old := os.umask(0))
    os.umask(0)
    try:
        world.client(world.auth(cache=FileCache(tmp_path / "new"))).get(PATH)
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    files = list((tmp_path / "new").iterdir())
    assert sorted(file.suffix for file in files) == [".json", ".lock"]
    for file in files:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert CANARY.encode() not in file.read_bytes()
        assert USERNAME.encode() not in file.read_bytes()


def test_the_default_folder_is_xdgs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, world: World) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    world.client(TokenAuth(AUTH, USERNAME, PASSWORD, ORGANIZATION, clock=world.clock)).get(PATH)
    assert len(list((tmp_path / "nightlatch-client").glob("*.json"))) == 1


@pytest.mark.parametrize("content", ["", "{", "[]", '{"token": 5}', '{"token": {"token": ""}}', "\x00" * 100])
def test_a_cache_file_that_holds_nonsense_is_none(world: World, tmp_path: Path, content: str) -> None:
    auth = world.auth(cache=FileCache(tmp_path))
    file = tmp_path / f"{auth._service.key}.json"
    file.touch(0o600)
    file.write_text(content)
    assert world.client(auth).get(PATH).status_code == 200


def test_a_cache_that_others_could_have_read_or_made_is_refused(world: World, tmp_path: Path) -> None:
    world.client(world.auth(cache=FileCache(tmp_path))).get(PATH)
    next(tmp_path.glob("*.json")).chmod(0o644)
    with pytest.raises(CacheError, match="chmod 600"):
        world.client(world.auth(cache=FileCache(tmp_path))).get(PATH)
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o777)
    with pytest.raises(CacheError, match="Others may write"):
        world.client(world.auth(cache=FileCache(tmp_path / "shared"))).get(PATH)
    (tmp_path / "file").touch()
    with pytest.raises(CacheError, match="MemoryCache"):
        world.client(world.auth(cache=FileCache(tmp_path / "file" / "x"))).get(PATH)


def test_the_keyring_keeps_the_token(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import keyring
    from keyring.backend import KeyringBackend

    class InMemory(KeyringBackend):
        priority = 1
        kept: dict[tuple[str, str], str] = {}  # noqa: RUF012

        def get_password(self, service: str, username: str) -> str | None:
            return self.kept.get((service, username))

        def set_password(self, service: str, username: str, password: str) -> None:
            self.kept[service, username] = password

    before = keyring.get_keyring()
    keyring.set_keyring(InMemory())  # type: ignore[no-untyped-call]
    try:
        for _ in range(2):
            assert world.client(world.auth(cache=KeyringCache(tmp_path))).get(PATH).status_code == 200

        async def work() -> int:
            async with httpx.AsyncClient(
                transport=world.server.transport, auth=world.auth(cache=KeyringCache(tmp_path))
            ) as client:
                return (await client.get(API + PATH)).status_code

        assert asyncio.run(work()) == 200
    finally:
        keyring.set_keyring(before)
    assert world.server.logins == 1
    assert [file.suffix for file in tmp_path.iterdir()] == [".lock"]


def test_usernames_that_differ_in_letter_case_share_no_token(world: World) -> None:
    # In Django these are two users.
    upper = TokenAuth(AUTH, USERNAME.capitalize(), PASSWORD, ORGANIZATION, clock=world.clock)
    assert upper._service.key != world.auth()._service.key


def test_the_password_is_fetched_only_when_it_is_needed(world: World) -> None:
    fetched = []

    def fetch() -> str:
        fetched.append(1)
        return PASSWORD

    for _ in range(3):
        client = world.client(world.auth(password=fetch))
        client.get(PATH)
        client.get(PATH)
    assert fetched == [1]


def test_a_request_that_is_cancelled_while_it_logs_in_keeps_nobody_waiting(world: World) -> None:
    class Hanging(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await asyncio.Event().wait()
            raise AssertionError

    async def work() -> None:
        async with httpx.AsyncClient(transport=Hanging(), auth=world.auth()) as client:
            task = asyncio.create_task(client.get(API + PATH))
            await asyncio.sleep(0)
            for _ in range(20):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(work())
    assert world.client().get(PATH).status_code == 200


def test_a_lock_that_arrives_for_a_task_that_was_cancelled_is_released(world: World, tmp_path: Path) -> None:
    taking, cancelled = threading.Event(), threading.Event()

    class Slow(FileCache):
        """As a keyring is: its locks are taken in a thread."""

        slow = True

        def lock_nowait(self, key: str) -> Lock | None:
            taking.set()
            cancelled.wait(10)
            return super().lock_nowait(key)

    async def work() -> None:
        async with httpx.AsyncClient(
            transport=world.server.transport, auth=world.auth(cache=Slow(tmp_path))
        ) as client:
            task = asyncio.create_task(client.get(API + PATH))
            await asyncio.to_thread(taking.wait, 10)
            task.cancel()
            cancelled.set()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(work())
    gc.collect()
    lock = FileCache(tmp_path).lock_nowait(world.auth()._service.key)
    assert lock is not None
    lock.release()


def run_alone(script: str, *arguments: str) -> None:
    """Run it in an interpreter of its own: this one has threads, and must not fork."""
    subprocess.run([sys.executable, "-c", script, *arguments], check=True, timeout=60)


def test_a_lock_does_not_outlive_its_holder_in_a_child_that_it_forked(tmp_path: Path) -> None:
    script = """
import os, sys
from nightlatch_client import FileCache

cache = FileCache(sys.argv[1])
read, write = os.pipe()
told, tell = os.pipe()
if (holder := os.fork()) == 0:
    os.close(write)
    lock = cache.lock_nowait("key")
    if os.fork() == 0:
        os.write(tell, b"x")  # it runs, and has left the lock to its parent
        os.read(read, 1)  # lives until the other end is closed
        os._exit(0)
    os._exit(1 if lock is None else 0)
assert os.waitpid(holder, 0)[1] == 0
assert os.read(told, 1) == b"x"
assert cache.lock_nowait("key") is not None
"""
    run_alone(script, str(tmp_path))


def test_a_child_does_not_wait_for_a_lock_of_its_own_memory_that_was_held_as_it_was_forked(
    tmp_path: Path,
) -> None:
    script = """
import os, sys
from nightlatch_client import FileCache, MemoryCache

for cache, is_free in [(MemoryCache(), True), (FileCache(sys.argv[1]), False)]:
    lock = cache.lock_nowait("key")
    if (child := os.fork()) == 0:
        os._exit(0 if (cache.lock_nowait("key") is not None) == is_free else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert cache.lock_nowait("key") is None  # the parent has it still
    lock.release()
"""
    run_alone(script, str(tmp_path))


def test_a_refused_login_names_what_the_service_said(world: World) -> None:
    with pytest.raises(LoginRefused, match="Unable to log in with provided credentials"):
        world.client(world.auth(password="no")).get(PATH)


def test_the_package_does_not_import_the_server() -> None:
    source = Path(__file__).parents[2] / "clients" / "python" / "src"
    for file in source.rglob("*.py"):
        text = file.read_text("utf-8")
        assert "import nightlatch\n" not in text, file
        assert "from nightlatch." not in text, file
        assert "from nightlatch import" not in text, file
