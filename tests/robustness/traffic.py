"""What a client process knows and sends: tokens, connections, and calls that leave a record."""

import asyncio
import itertools
import json
import random
from collections import deque
from dataclasses import dataclass, field

from tests.robustness.history import HistoryWriter, Kind, Outcome, identity_text, now
from tests.robustness.wire import Connection, Cut, WireReply, request

VERIFY_PATH = "/api/auth/verify/"
DEAD_TOKENS_MAX = 300
RENEW_NANOSECONDS = 3_000_000_000
"""Connections are made anew about that often, or a restarted worker would get none."""

_OUTCOMES = {
    200: Outcome.OK,
    204: Outcome.OK,
    503: Outcome.UNAVAILABLE,
    None: Outcome.UNKNOWN,
}


@dataclass(slots=True, eq=False)
class Token:
    """A token in clear, in memory only."""

    id: str
    text: str = field(repr=False)
    organization: str
    user: str
    home: dict[str, "Token"] = field(default_factory=dict, repr=False)
    """Its organization's tokens, where this client made it."""
    verify_request: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.verify_request = self.request("GET", VERIFY_PATH)

    def request(self, method: str, path: str) -> bytes:
        """A request that shows the token."""
        return request(method, path, (("Authorization", f"Token {self.text}"),))


class Pool:
    """Tokens that are worth verifying: live ones of all clients, and some that have ended."""

    def __init__(self) -> None:
        self._live: list[Token] = []
        self._places: dict[str, int] = {}
        self._dead: deque[Token] = deque(maxlen=DEAD_TOKENS_MAX)

    def add(self, token: Token) -> None:
        """A token was made."""
        self._places[token.id] = len(self._live)
        self._live.append(token)

    def bury(self, token: Token) -> None:
        """A token has ended."""
        token.home.pop(token.id, None)
        place = self._places.pop(token.id, None)
        if place is None:
            return
        last = self._live.pop()
        if last is not token:
            self._live[place] = last
            self._places[last.id] = place
        self._dead.append(token)

    def find(self, token_id: str) -> Token | None:
        """A live token by its id."""
        place = self._places.get(token_id)
        return None if place is None else self._live[place]

    def choose(self, chance: random.Random, dead_share: float = 0.15) -> Token | None:
        """Any of them."""
        if self._dead and (not self._live or chance.random() < dead_share):
            return self._dead[int(chance.random() * len(self._dead))]
        return self._live[int(chance.random() * len(self._live))] if self._live else None

    def all(self) -> list[Token]:
        """Live ones, and the latest that have ended."""
        return [*self._live, *itertools.islice(self._dead, max(0, len(self._dead) - 100), None)]


class Lane:
    """One connection at a time to one node, made anew when it is lost or old."""

    def __init__(self, node: str, port: int, writer: HistoryWriter) -> None:
        self.node = node
        self.connection: Connection | None = None
        self._port = port
        self._writer = writer
        self._renew = 0
        self.busy = asyncio.Lock()
        """Held for each call: a lane carries one at a time."""

    async def connected(self) -> Connection | None:
        """The connection; None, after a pause and a record of it, if there is none to be had."""
        if self.connection is not None and self.connection.is_open and now() < self._renew:
            return self.connection
        self.close()
        start = now()
        try:
            self.connection = await Connection.open(self._port)
        except (OSError, Cut, TimeoutError, ValueError):
            self._writer.write(Kind.CONNECT, start, now(), self.node, 0, Outcome.UNAVAILABLE)
            await asyncio.sleep(0.05)
            return None
        self._renew = now() + int(RENEW_NANOSECONDS * random.uniform(0.5, 1.5))
        return self.connection

    def close(self) -> None:
        """End the connection, if there is one."""
        if self.connection is not None:
            self.connection.abort()
        self.connection = None


@dataclass(frozen=True, slots=True)
class Call:
    """A call as it went: `reply` is None if no answer came."""

    start: int
    end: int
    process: int
    reply: WireReply | None

    @property
    def status(self) -> int:
        """Of the answer, 0 without one."""
        return 0 if self.reply is None else self.reply.status

    @property
    def outcome(self) -> Outcome:
        """What may be concluded."""
        return _OUTCOMES.get(self.status or None, Outcome.REFUSED)


class Caller:
    """Makes calls, and a record of each."""

    def __init__(self, writer: HistoryWriter, pool: Pool) -> None:
        self.writer = writer
        self.pool = pool

    async def exchange(self, lane: Lane, sent: bytes) -> Call | None:
        """Send; None where there is no connection, so that nothing was sent."""
        async with lane.busy:
            connection = await lane.connected()
            if connection is None:
                return None
            start = now()
            try:
                reply = await connection.exchange(sent)
            except Cut:
                return Call(start, now(), connection.process, None)
            return Call(start, now(), connection.process, reply)

    async def verify(self, lane: Lane, token: Token) -> Call | None:
        """Verify a token there."""
        call = await self.exchange(lane, token.verify_request)
        if call is None:
            return None
        detail = _identity(call.reply) if call.reply is not None and call.status == 200 else ""
        self.writer.write(
            Kind.VERIFY,
            call.start,
            call.end,
            lane.node,
            call.process,
            call.outcome,
            call.status,
            token.id,
            detail=detail,
        )
        if call.status == 401:
            self.pool.bury(token)
        return call

    async def log_in(
        self, lane: Lane, organization: str, user: str, password: str
    ) -> tuple[str, Call | None]:
        """Log in there; the token in clear, or ""."""
        body = {"username": user, "password": password, "organization_id": organization}
        sent = request(
            "POST", "/api/auth/login/", (("Content-Type", "application/json"),), json.dumps(body).encode()
        )
        call = await self.exchange(lane, sent)
        if call is None:
            return "", None
        text = expiry = ""
        if call.reply is not None and call.status == 200:
            answer = json.loads(call.reply.body)
            text, expiry = answer["token"], answer["expiry"] or ""
        self.writer.write(
            Kind.LOGIN,
            call.start,
            call.end,
            lane.node,
            call.process,
            call.outcome,
            call.status,
            text[4:16],
            organization,
            user,
            expiry,
        )
        return text, call

    async def end(
        self, lane: Lane, kind: Kind, sent: bytes, token: Token, organization: str = "", user: str = ""
    ) -> Call | None:
        """Make a call that ends a token, or all in the scope."""
        call = await self.exchange(lane, sent)
        if call is not None:
            self.writer.write(
                kind,
                call.start,
                call.end,
                lane.node,
                call.process,
                call.outcome,
                call.status,
                token.id,
                organization,
                user,
            )
        return call


def _identity(reply: WireReply) -> str:
    headers = reply.headers()
    names = ("organization", "user", "role", "token-id", "expiry")
    return identity_text(*(headers.get(f"x-auth-{name}", "(none)") for name in names))
