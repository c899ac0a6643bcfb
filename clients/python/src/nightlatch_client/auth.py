"""Authentication for httpx, sync and async."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from typing import Any, Final, TypeVar

import httpx

from nightlatch_client.cache import Cache
from nightlatch_client.clock import Clock, SystemClock
from nightlatch_client.drive import OWN, answer_of, drive, request_of, take, take_async
from nightlatch_client.errors import ListedToken, NightlatchClientError
from nightlatch_client.file_cache import FileCache
from nightlatch_client.keeper import LOG, Keeper
from nightlatch_client.kept import KeptToken
from nightlatch_client.origin import Destinations, origin_of, refuse_plain_http
from nightlatch_client.retrying import RetryingClient, is_repeatable
from nightlatch_client.secret import is_text
from nightlatch_client.service import Service
from nightlatch_client.steps import Ask, Flow, Use

PATIENCE_SECONDS: Final = 30.0
BACKGROUND_PATIENCE_SECONDS: Final = 2.0
"""A process does not end before what goes on in the background."""

_Result = TypeVar("_Result")


class TokenSource:
    """A token that is shared, kept and renewed; what the classes for httpx and requests have in common."""

    def __init__(
        self,
        url: str,
        username: str,
        password: str | Callable[[], str],
        organization_id: str,
        *,
        origins: Sequence[str] | None = None,
        cache: Cache | None = None,
        client: Callable[[], httpx.Client] | None = None,
        clock: Clock | None = None,
        plain_http: bool = False,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        """Asks nobody yet.

        `url`: where the service is, without /api/auth/. `password`: or a function that fetches it when it is
        needed. `origins`: where tokens may be sent besides; if not given, also to the origin of the first
        request. `cache`: where the token is kept, a FileCache by default. `client`: makes the client that
        renews in the background (and logs in for requests), where the service needs another than
        RetryingClient(). `plain_http`: allow http:// to other machines. `patience`: seconds that a login
        waits while the service is throttling or overloaded.

        Raises PlainHttpRefused, ValueError.
        """
        for name, value in (("username", username), ("organization_id", organization_id)):
            if not value or not is_text(value):
                raise ValueError(f"{name} is empty or no text")
        try:
            origin = origin_of(url)
            named = None if origins is None else tuple(origin_of(one) for one in origins)
        except ValueError as error:
            raise ValueError(f"url or origins: {error}") from None
        refuse_plain_http(origin, plain_http)
        for one in named or ():
            refuse_plain_http(one, plain_http)
        path = httpx.URL(url).path.rstrip("/")
        self._service = Service(f"{origin}{path}/", username, organization_id, password)
        self._clock = clock or SystemClock()
        self._keeper = Keeper(self._service, cache or FileCache(), self._clock, patience, self._in_background)
        self._destinations = Destinations(origin, named, plain_http)
        self._client = client or RetryingClient
        self._background: threading.Thread | None = None

    def __repr__(self) -> str:
        service = self._service
        return f"{type(self).__name__}({service.url!r}, {service.username!r}, …, {service.organization_id!r})"

    def token(self) -> str:
        """A token that can be used now, for a header of one's own; logs in if need be. Blocks.

        Raises LoginError, CacheError and httpx's errors.
        """
        token = self._run(self._keeper.have()).token
        self._renew_in_background()
        return token

    def log_in(self) -> None:
        """Log in though there may be a token, which the new one replaces: to find out whether the password
        is right.

        Blocks. Raises LoginError, CacheError and httpx's errors.
        """
        self._run(self._keeper.log_in())

    def log_out(self, everywhere: bool = False) -> bool:
        """End the token that all who have the same cache share; False if there was none. Blocks.

        `everywhere`: all of the user's in the organization. Raises LoginError, CacheError and httpx's errors.
        """
        return self._run(self._keeper.log_out(everywhere))

    def list_tokens(self) -> tuple[ListedToken, ...]:
        """The live tokens, as the service lists them; makes none for it. Blocks.

        Raises LoginError (also where the service has no such list), CacheError and httpx's errors.
        """
        return self._run(self._keeper.list_tokens())

    def revoke(self, token_id: str) -> bool:
        """End a token by its id; False if the service knows no live one of that id. Makes none for it.
        Blocks.

        Raises LoginError, CacheError and httpx's errors.
        """
        return self._run(self._keeper.revoke(token_id))

    def _run(self, flow: Flow[_Result], patience: float | None = None) -> _Result:
        with self._client() as client:
            if patience is not None and isinstance(client, RetryingClient):
                client.patience = min(client.patience, patience)
            return drive(flow, client, self._clock)

    def _renew_in_background(self) -> None:
        """Start to fetch a new token, if it is time; nobody waits for it.

        In a thread, as the caller's request must not wait, and its client may be gone before. Not a daemon:
        a token that was made as the process ended would take a place, and be in no cache.
        """
        if not self._keeper.renewal_is_due():
            return
        # After a fork the thread is no longer alive. Two at once: the second finds the lock taken.
        if self._background is None or not self._background.is_alive():
            self._in_background(self._keeper.renew())

    def _in_background(self, flow: Flow[Any]) -> None:
        thread = threading.Thread(target=self._try, args=(flow,), name="nightlatch-client")
        self._background = thread
        with contextlib.suppress(RuntimeError):  # the interpreter is ending
            thread.start()

    def _try(self, flow: Flow[Any]) -> None:
        try:
            self._run(flow, BACKGROUND_PATIENCE_SECONDS)
        except (NightlatchClientError, httpx.HTTPError) as error:
            # The token at hand is good still; when it is not, whoever needs a new one is told.
            LOG.warning("A token could not be renewed or ended in the background (%s).", type(error).__name__)


class TokenAuth(TokenSource, httpx.Auth):
    """For httpx: `httpx.Client(auth=TokenAuth(url, username, password, organization_id))`; AsyncClient alike.

    Sends each request with a token that is shared by all processes of this user on this machine. Logs in,
    through the same client, if there is none; when a request is answered with 401, once more, and repeats it.

    Requests raise LoginError, CacheError, WrongOrigin, PlainHttpRefused and BodyNotRepeatable besides
    httpx's errors.
    """

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """For httpx.Client."""
        self._destinations.admit(request.url)
        repeatable = is_repeatable(request)
        refused: KeptToken | None = None
        if repeatable and (held := self._keeper.at_hand_nowait()) is not None:
            request.headers["Authorization"] = "Token " + held.token
            response = yield request
            if not self._is_refusal(request, response):
                return
            # Read, or it would hold on to a connection that a login may be waiting for.
            response.read()
            refused = held
        with contextlib.closing(self._keeper.send(repeatable, refused)) as flow:
            back: Any = None
            while True:
                try:
                    step = flow.send(back)
                except StopIteration:
                    break
                if isinstance(step, Use):
                    request.headers["Authorization"] = "Token " + step.token
                    response = yield request
                    # After it: renewing ends the token that this request is sent with.
                    self._renew_in_background()
                    _hide_own(response)
                    back = 401 if self._is_refusal(request, response) else None
                    if back == 401:
                        response.read()
                elif isinstance(step, Ask):
                    asked = yield request_of(step)
                    asked.read()
                    back = answer_of(asked)
                else:
                    back = take(step, self._clock)

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """For httpx.AsyncClient; the same, and no wait holds up the event loop."""
        self._destinations.admit(request.url)
        repeatable = is_repeatable(request)
        refused: KeptToken | None = None
        if repeatable and (held := self._keeper.at_hand_nowait()) is not None:
            request.headers["Authorization"] = "Token " + held.token
            response = yield request
            if not self._is_refusal(request, response):
                return
            # Read, or it would hold on to a connection that a login may be waiting for.
            await response.aread()
            refused = held
        logging_in = False
        try:
            with contextlib.closing(self._keeper.send(repeatable, refused)) as flow:
                back: Any = None
                while True:
                    try:
                        step = flow.send(back)
                    except StopIteration:
                        break
                    if isinstance(step, Use):
                        request.headers["Authorization"] = "Token " + step.token
                        response = yield request
                        # After it: renewing ends the token that this request is sent with.
                        self._renew_in_background()
                        _hide_own(response)
                        back = 401 if self._is_refusal(request, response) else None
                        if back == 401:
                            await response.aread()
                    elif isinstance(step, Ask):
                        logging_in = step.once
                        asked = yield request_of(step)
                        await asked.aread()
                        logging_in = False
                        back = answer_of(asked)
                    else:
                        back = await take_async(step, self._clock)
        except (GeneratorExit, asyncio.CancelledError):
            # The first is what httpx closes a flow with, for whatever reason.
            if logging_in and _is_cancelled():
                self._in_background(self._keeper.make_up(refused))
            raise

    def _is_refusal(self, request: httpx.Request, response: httpx.Response) -> bool:
        """Whether the token was refused; a 401 after a redirect to elsewhere is not about it."""
        if response.status_code != 401:
            return False
        if response.request.method != request.method:
            return False  # after a redirect such as 303: the request was done, and must not be done twice
        answered, asked = response.request.url, request.url
        return (answered.scheme, answered.netloc) == (asked.scheme, asked.netloc)


def _is_cancelled() -> bool:
    """Whether the task is being cancelled; not known of trio's."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return False
    return task is not None and task.cancelling() > 0


def _hide_own(response: httpx.Response) -> None:
    """Logins stay out of a response's history: their bodies hold password and token."""
    if response.history:
        response.history = [one for one in response.history if OWN not in one.request.extensions]
