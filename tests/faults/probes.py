"""The endpoints, asked as a client asks them, and the tokens that they are asked with."""

import http.client
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from nightlatch.model.errors import StoreUnavailable
from tests.accounts import Accounts, Person

Status = int | None
"""None: no answer in time."""

KEEP_TRYING_SECONDS = 10.0
ANSWER_SECONDS_MAX = 15.0


class Endpoint(Enum):
    """What is asked; the value heads a column of the table."""

    LOGIN = "login"
    LOGOUT = "logout"
    KNOWN = "verify, token in memory"
    UNASKED = "verify, token not in memory"
    TOKENS = "list of tokens"
    LIVE = "live"
    READY = "ready"


AFTERWARDS = {endpoint: 204 if endpoint is Endpoint.LOGOUT else 200 for endpoint in Endpoint}
"""How each endpoint answers when nothing is wrong."""


class Client:
    """A client of the server on that port, with a connection for each request or one that it keeps.

    Whoever does not answer within `seconds` has not answered.
    """

    def __init__(self, port: int, keeps: bool, seconds: float = ANSWER_SECONDS_MAX) -> None:
        self.port = port
        self.seconds = seconds
        self._kept = self._connect() if keeps else None

    def ask(
        self, method: str, path: str, token: str = "", data: dict[str, str] | None = None
    ) -> tuple[Status, Any]:
        """Status and JSON of the answer."""
        connection = self._kept or self._connect()
        headers = {"Authorization": f"Token {token}"} if token else {}
        if data is not None:
            headers["Content-Type"] = "application/json"
        if self._kept is None:
            headers["Connection"] = "close"
        try:
            connection.request(method, path, None if data is None else json.dumps(data), headers)
            answer = connection.getresponse()
            body = answer.read()
            return answer.status, json.loads(body) if body else None
        except (OSError, http.client.HTTPException):
            connection.close()
            return None, None
        finally:
            if self._kept is None:
                connection.close()

    def close(self) -> None:
        """Close the connection that was kept."""
        if self._kept is not None:
            self._kept.close()

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.seconds)


@dataclass
class Tenant:
    """A user, and what became of the user's tokens as far as the server has said so."""

    person: Person
    known: str = ""
    unasked: list[str] = field(default_factory=list)
    leaving: list[str] = field(default_factory=list)
    live: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    doubtful: set[str] = field(default_factory=set)
    """Whose logout was not answered, or answered with 503."""

    @staticmethod
    def settled(accounts: Accounts, client: Client) -> "Tenant":
        """Somebody new: tokens that memory knows, that it does not know, and that are ended."""
        try:
            person = accounts.add_person(token_limit=1000)
        except StoreUnavailable:  # the fault before has cut the connections
            person = accounts.add_person(token_limit=1000)
        tenant = Tenant(person)
        tenant.unasked = [tenant.log_in(client) for _ in range(4)]
        tenant.leaving = [tenant.log_in(client) for _ in range(4)]
        tenant.known = tenant.log_in(client)
        ended = [tenant.log_in(client) for _ in range(2)]
        for token in (tenant.known, *tenant.leaving, *ended):
            expect(client.ask("GET", "/api/auth/verify/", token)[0], 200)
        for token in ended:
            expect(client.ask("POST", "/api/auth/logout/", token)[0], 204)
        expect(client.ask("GET", "/api/auth/verify/", ended[0])[0], 401)
        tenant.live -= set(ended)
        tenant.ended |= set(ended)
        return tenant

    def log_in(self, client: Client, seconds: int | None = None) -> str:
        """A token, which is to live so long; it was acknowledged."""
        data = self.person.login_body
        if seconds is not None:
            data |= {"time_to_live": str(seconds)}
        status, body = client.ask("POST", "/api/auth/login/", data=data)
        expect(status, 200)
        token: str = body["token"]
        if seconds is None:
            self.live.add(token)
        return token

    def probe(self, client: Client, endpoint: Endpoint) -> Status:
        """Ask one endpoint, and remember what it has acknowledged."""
        match endpoint:
            case Endpoint.LOGIN:
                return self._probe_login(client)
            case Endpoint.LOGOUT:
                return self._probe_logout(client)
            case Endpoint.KNOWN:
                return client.ask("GET", "/api/auth/verify/", self.known)[0]
            case Endpoint.UNASKED:
                return self._probe_unasked(client)
            case Endpoint.TOKENS:
                return client.ask("GET", "/api/auth/tokens/?limit=1", self.known)[0]
            case Endpoint.LIVE:
                return client.ask("GET", "/health/live/")[0]
            case Endpoint.READY:
                return client.ask("GET", "/health/ready/")[0]

    def _probe_login(self, client: Client) -> Status:
        status, body = client.ask("POST", "/api/auth/login/", data=self.person.login_body)
        if status == 200:
            self.live.add(body["token"])
        return status

    def _probe_logout(self, client: Client) -> Status:
        token = self.leaving.pop() if self.leaving else self.log_in(client)
        self.live.discard(token)
        status, _ = client.ask("POST", "/api/auth/logout/", token)
        if status == 204:
            self.ended.add(token)
        elif status in (503, None):
            self.doubtful.add(token)
        else:
            self.live.add(token)
        return status

    def _probe_unasked(self, client: Client) -> Status:
        status, _ = client.ask("GET", "/api/auth/verify/", self.unasked[-1])
        if status == 200:  # then memory knows it
            self.unasked.pop()
        return status

    def contradictions(self, client: Client) -> list[str]:
        """Where answers differ from what was acknowledged; a logout in doubt is repeated first."""
        found = []
        for token in self.doubtful:
            status, _ = client.ask("POST", "/api/auth/logout/", token)
            if status not in (204, 401):
                found.append(f"a repeated logout is answered with {status}")
        for tokens, right in ((self.live, 200), (self.ended | self.doubtful, 401)):
            for token in tokens:
                status, _ = client.ask("GET", "/api/auth/verify/", token)
                if status != right:
                    found.append(f"a token is answered with {status} instead of {right}")
        return found


def expect(status: Status, right: int) -> None:
    """Raise AssertionError if that is not the answer: then there is nothing to be seen under a fault."""
    assert status == right, f"{status} instead of {right}"


def statuses_until(ask: Callable[[], Status], right: int) -> list[Status]:
    """The different answers, in order, until it is the right one or KEEP_TRYING_SECONDS have passed."""
    deadline = time.monotonic() + KEEP_TRYING_SECONDS
    statuses = [ask()]
    while statuses[-1] != right and time.monotonic() < deadline:
        time.sleep(0.02)
        note(statuses, ask())
    return statuses


def note(statuses: list[Status], status: Status) -> None:
    """Add it unless it is the last already."""
    if not statuses or statuses[-1] != status:
        statuses.append(status)


def accepted_ended(client: Client, tenant: Tenant) -> int:
    """How many ended tokens are accepted."""
    statuses = [client.ask("GET", "/api/auth/verify/", token)[0] for token in tenant.ended]
    return statuses.count(200)
