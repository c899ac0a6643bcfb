"""A server of Nightlatch is asked about each request, over connections that are kept.

No answer is kept. Requests that ask the same share one question to the server only while it waits to be
sent: a logout may have been answered after it was sent and before the later request began, and then what
is on its way no longer holds. So of each question at most one is on its way and one waits, and whoever
comes, comes before the one that waits is sent.

Time is bounded (`seconds_max` from question to answer), so are connections and waiting questions; beyond, and
whenever the answer is not clearly Nightlatch's, the request is refused with 503.
"""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, cast
from urllib.parse import SplitResult, urlsplit

from nightlatch.middleware.answer import Answer, Unreadable, question_bytes, read_answer, read_caller
from nightlatch.middleware.caller import Caller
from nightlatch.middleware.question import Ask, Question
from nightlatch.middleware.refusal import Refusal, no_credentials, unknown
from nightlatch.model.errors import CannotStart

VERIFY: Final = "/api/auth/verify/"
AUTHORIZATION_BYTES_MAX: Final = 8 * 1024
"""Longer ones are refused without asking: a server of Nightlatch does not take them."""
QUESTIONS_MAX: Final = 1024
"""Questions that wait or are on their way; what comes beyond is refused."""

_log = logging.getLogger("nightlatch.middleware")


@dataclass(frozen=True, slots=True)
class OverHttp:
    """Asks the server at `url`, `https://auth.example.com` for example.

    The token goes over this connection, so `http://` is for a server on the same machine, or with
    `plain_http_allowed` where the network between is trusted. `ca_file`: certificates to trust, in place of
    the system's.

    Raises CannotStart for settings that cannot work.
    """

    url: str
    seconds_max: float = 5.0
    connections_max: int = 16
    plain_http_allowed: bool = False
    ca_file: str | None = None

    def __post_init__(self) -> None:
        if self.seconds_max <= 0 or self.connections_max < 1:
            raise CannotStart("seconds_max and connections_max: expected more than 0.")
        parts, _ = _parts(self.url)
        if parts.scheme == "http" and not self.plain_http_allowed and not _is_loopback(parts.hostname or ""):
            raise CannotStart(
                f"The URL of Nightlatch, http://{parts.hostname}, would carry tokens in clear. "
                "Use https://, or set plain_http_allowed where the network between is trusted."
            )

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Ask]:
        """Connections on the running loop; the first is made when something is asked."""
        server = _Server(self)
        try:
            yield server.ask
        finally:
            server.close()


def _parts(url: str) -> tuple[SplitResult, int]:
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        parts, port = urlsplit(""), 0
    plain = url.isascii() and url.isprintable() and " " not in url
    if parts.scheme not in ("http", "https") or not parts.hostname or not plain:
        raise CannotStart("The URL of Nightlatch: expected https://HOST or https://HOST:PORT.")
    if parts.username is not None or parts.query or parts.fragment:
        raise CannotStart("The URL of Nightlatch: expected no user name, query or fragment in it.")
    return parts, port


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Server:
    """The connections to a server, on one event loop, and the questions to it."""

    def __init__(self, settings: OverHttp) -> None:
        parts, self._port = _parts(settings.url)
        self._host = parts.hostname or ""
        self._netloc = parts.netloc
        self._path = parts.path.rstrip("/") + VERIFY
        self._tls = ssl.create_default_context(cafile=settings.ca_file) if parts.scheme == "https" else None
        self._seconds_max = settings.seconds_max
        self._turns = asyncio.Semaphore(settings.connections_max)
        self._idle: list[_Connection] = []
        self._waiting: dict[Question, asyncio.Task[Caller | Refusal]] = {}
        self._on_its_way: dict[Question, asyncio.Task[Caller | Refusal]] = {}

    async def ask(self, question: Question) -> Caller:
        """Whom the server says it is. Raises Refusal."""
        if not question.authorization.strip():
            raise no_credentials()
        if len(question.authorization) > AUTHORIZATION_BYTES_MAX:
            raise Refusal(401, "Invalid token.")
        task = self._waiting.get(question)
        if task is None:
            if len(self._waiting) + len(self._on_its_way) >= QUESTIONS_MAX:
                raise unknown()
            task = asyncio.get_running_loop().create_task(self._outcome(question))
            self._waiting[question] = task
        # A client that hangs up ends its own request, not the others' question.
        outcome = await asyncio.shield(task)
        if isinstance(outcome, Refusal):
            raise Refusal(outcome.status, outcome.sentence, outcome.retry_after)
        return outcome

    def close(self) -> None:
        """End every connection and question."""
        for task in (*self._waiting.values(), *self._on_its_way.values()):
            task.cancel()
        while self._idle:
            self._idle.pop().close()

    async def _outcome(self, question: Question) -> Caller | Refusal:
        """The caller or the refusal, as a value: several requests may get it."""
        try:
            async with asyncio.timeout(self._seconds_max):
                return read_caller(await self._answer(question), question)
        except Refusal as refusal:
            return refusal
        except TimeoutError:
            _log.warning("Nightlatch did not answer within %g seconds", self._seconds_max)
        except (OSError, Unreadable) as error:
            _log.warning("Nightlatch cannot be asked: %s", error)
        finally:
            for place in (self._waiting, self._on_its_way):
                if place.get(question) is asyncio.current_task():
                    del place[question]
        return unknown()

    async def _answer(self, question: Question) -> Answer:
        request = question_bytes(question, self._netloc, self._path)
        if before := self._on_its_way.get(question):
            await asyncio.wait([before])
        async with self._turns:
            while True:
                connection = self._idle_connection()
                reused = connection is not None
                if connection is None:
                    connection = await self._connect()
                self._send_now(question)
                try:
                    answer = await connection.ask(request)
                except ConnectionError:
                    # An idle connection that the server was just closing; to ask twice changes nothing.
                    if reused and not connection.heard:
                        continue
                    raise
                except BaseException:
                    connection.close()  # else its late answer would be taken for that to the next question
                    raise
                if not connection.ended:
                    self._idle.append(connection)
                return answer

    def _send_now(self, question: Question) -> None:
        """From here on nobody joins this question."""
        task = self._waiting.get(question)
        if task is not None and task is asyncio.current_task():
            self._on_its_way[question] = self._waiting.pop(question)

    def _idle_connection(self) -> "_Connection | None":
        while self._idle:
            connection = self._idle.pop()
            if not connection.ended:
                return connection
        return None

    async def _connect(self) -> "_Connection":
        _, connection = await asyncio.get_running_loop().create_connection(
            _Connection, self._host, self._port, ssl=self._tls
        )
        return connection


class _Connection(asyncio.Protocol):
    """One connection: one question, its whole answer, and then the next question."""

    def __init__(self) -> None:
        self.ended = False
        self.heard = False
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._waiting: asyncio.Future[Answer] | None = None

    async def ask(self, request: bytes) -> Answer:
        """The answer to it. Raises ConnectionError and Unreadable."""
        if self._transport is None or self.ended:
            raise ConnectionResetError("the connection has ended")
        self.heard = False
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await self._waiting
        finally:
            self._waiting = None

    def close(self) -> None:
        """End it at once."""
        self.ended = True
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self._transport = cast(asyncio.Transport, transport)  # of uvloop it is no instance

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        self.heard = True
        waiting = self._waiting
        if waiting is None or waiting.done():
            self.close()  # nothing was asked: what comes is no answer
            return
        self._received += data
        try:
            answer = read_answer(self._received)
        except Unreadable as error:
            self.close()
            waiting.set_exception(error)
            return
        if answer is not None:
            self._received = b""
            if answer.last:
                self.close()
            waiting.set_result(answer)

    def connection_lost(self, error: Exception | None) -> None:
        """Called by the event loop."""
        self.ended = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ConnectionResetError("the connection was closed before the answer"))
