"""httpx clients that repeat a request whose answer was lost or is worth waiting for, where that is safe."""

import socket
import ssl
from random import SystemRandom
from typing import Any, Final

import httpx

from nightlatch_client.clock import Clock, SystemClock
from nightlatch_client.drive import LOGIN, OWN
from nightlatch_client.service import retry_after

_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""RFC 9110 section 9.2.2: sending them twice is as good as once."""
_NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_LOST: Final = (httpx.NetworkError, httpx.TimeoutException, httpx.RemoteProtocolError)
_WORTH_WAITING: Final = frozenset({429, 502, 503, 504})
_PAUSE_MIN: Final = 0.1
_PAUSE_MAX: Final = 3.0
_LOST_LOGINS_MAX: Final = 1

_LOOPBACK: Final = ("all://localhost", "all://*.localhost", "all://127.0.0.1", "all://[::1]")

_random: Final = SystemRandom()


def is_repeatable(request: httpx.Request) -> bool:
    """Whether the request's body can be sent again."""
    stream = request.stream
    if isinstance(stream, httpx.ByteStream):
        return True
    # A multipart body reads its files again from the start, if they can go there.
    fields = getattr(stream, "fields", None)
    return fields is not None and all(_can_rewind(getattr(field, "file", b"")) for field in fields)


def _can_rewind(file: Any) -> bool:
    return isinstance(file, str | bytes) or (hasattr(file, "seekable") and bool(file.seekable()))


class _Attempts:
    """The attempts at one request: which may follow which, and after what pause."""

    def __init__(self, request: httpx.Request, clock: Clock, patience: float) -> None:
        self._request = request
        self._clock = clock
        self._end = clock.monotonic() + patience
        self._pause = _PAUSE_MIN
        self._lost_logins = 0

    def after_error(self, error: httpx.TransportError) -> float | None:
        """Seconds to wait before the next attempt; None: there is none."""
        if not isinstance(error, _LOST) or _is_permanent(error) or not is_repeatable(self._request):
            return None
        failed = self._failed(error)
        # Where a redirect leads to was not reached: the request itself was, and was answered.
        redirected = failed is not self._request and OWN not in failed.extensions
        if redirected or not isinstance(error, _NOT_SENT):
            if failed.extensions.get(OWN) == LOGIN:
                # The caller's request has not been sent, or was refused. The login may have made a token
                # though, which nobody knows now and which takes a place until it expires: hence once only.
                self._lost_logins += 1
                if self._lost_logins > _LOST_LOGINS_MAX:
                    return None
            elif OWN not in failed.extensions and self._request.method not in _IDEMPOTENT:
                return None
        return self._wait(None)

    def _failed(self, error: httpx.TransportError) -> httpx.Request:
        """The request that failed: the caller's, or one that authentication sent before it."""
        try:
            return error.request
        except RuntimeError:
            return self._request

    def after_answer(self, response: httpx.Response) -> float | None:
        """Seconds to wait before the next attempt; None: this answer is the one."""
        request = self._request
        if response.status_code not in _WORTH_WAITING or OWN in request.extensions:
            return None  # what a flow asks, the flow repeats
        if request.method not in _IDEMPOTENT or not is_repeatable(request):
            return None
        return self._wait(retry_after(response.headers, self._clock.wall()))

    def _wait(self, asked: float | None) -> float | None:
        # Jitter, so that those who lost a server together do not come back together.
        seconds = (asked or 0.0) + _random.uniform(self._pause / 2, self._pause)
        self._pause = min(self._pause * 2, _PAUSE_MAX)
        return seconds if self._clock.monotonic() + seconds <= self._end else None


def _is_permanent(error: BaseException) -> bool:
    """A certificate that is not trusted, a name that does not exist: a second look changes nothing."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        if isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME:
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _without_proxy(options: dict[str, Any]) -> dict[str, Any]:
    """The options, so that the environment's proxy (HTTP_PROXY) is not used for this machine: plain http is
    allowed to it, which the proxy could read.
    """
    if options.get("proxy") is not None:
        return options
    direct = dict.fromkeys(_LOOPBACK)
    return {**options, "mounts": {**direct, **(options.get("mounts") or {})}}


class RetryingClient(httpx.Client):
    """httpx.Client that repeats what was lost, or answered with 429, 502, 503 or 504, for `patience` seconds.

    With growing pauses, and not before Retry-After. Repeats idempotent requests (RFC 9110 section 9.2.2)
    whose body can be sent again; any other only if it never left. Uses the environment's proxies, but not for
    this machine.
    """

    def __init__(
        self, *arguments: Any, patience: float = 30.0, clock: Clock | None = None, **options: Any
    ) -> None:
        """Takes what httpx.Client takes."""
        super().__init__(*arguments, **_without_proxy(options))
        self.patience = patience
        self._clock = clock or SystemClock()

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send the request, as httpx.Client does."""
        attempts = _Attempts(request, self._clock, self.patience)
        while True:
            try:
                response = super().send(request, **options)
            except httpx.TransportError as error:
                seconds = attempts.after_error(error)
                if seconds is None:
                    raise
            else:
                seconds = attempts.after_answer(response)
                if seconds is None:
                    return response
                response.close()
            self._clock.sleep(seconds)


class AsyncRetryingClient(httpx.AsyncClient):
    """The same for an event loop."""

    def __init__(
        self, *arguments: Any, patience: float = 30.0, clock: Clock | None = None, **options: Any
    ) -> None:
        """Takes what httpx.AsyncClient takes."""
        super().__init__(*arguments, **_without_proxy(options))
        self.patience = patience
        self._clock = clock or SystemClock()

    async def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send the request, as httpx.AsyncClient does."""
        attempts = _Attempts(request, self._clock, self.patience)
        while True:
            try:
                response = await super().send(request, **options)
            except httpx.TransportError as error:
                seconds = attempts.after_error(error)
                if seconds is None:
                    raise
            else:
                seconds = attempts.after_answer(response)
                if seconds is None:
                    return response
                await response.aclose()
            await self._clock.sleep_async(seconds)
