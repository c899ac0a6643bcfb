"""Accounts for tests: made through the use cases, on the database under test."""

import asyncio
import secrets
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, TypeVar

from sqlalchemy import text

from nightlatch.app import built_services, opened_engines
from nightlatch.model.names import OrganizationId, Role
from nightlatch.model.origin import Origin
from nightlatch.model.scope import Scope
from nightlatch.model.standing import Caller
from nightlatch.model.token import TokenDigest
from nightlatch.settings import load_settings
from nightlatch.store.engine import Engines
from nightlatch.store.schema import is_empty, migrate
from nightlatch.store.tokens import find_standing
from nightlatch.usecases.add_member import add_member
from nightlatch.usecases.add_organization import add_organization
from nightlatch.usecases.add_user import add_user
from nightlatch.usecases.check_password import Credentials
from nightlatch.usecases.issue_child_token import ChildTokenRequest, issue_child_token
from nightlatch.usecases.log_in import Login, log_in
from nightlatch.usecases.services import Services

PASSWORD = "correct horse battery"
CHEAP_HASH = {"password_hash_memory_kib": 8, "password_hash_time_cost": 1}
NOT_THROTTLED = {
    "failed_logins_per_account": "1000000 per 1h",
    "failed_logins_per_address": "1000000 per 1h",
}
"""For tests whose many failures are about something else."""
ADDRESS = "192.0.2.1"
"""From where a login without a server comes."""

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Person:
    """A user of an organization, and the password that fits."""

    organization_id: str
    username: str
    password: str = PASSWORD

    @property
    def credentials(self) -> Credentials:
        """As a use case takes them."""
        return Credentials(self.username, self.password, self.organization_id, ADDRESS)

    @property
    def login_body(self) -> dict[str, str]:
        """As the API takes them."""
        return {
            "username": self.username,
            "password": self.password,
            "organization_id": self.organization_id,
        }


class Accounts:
    """Use cases on one database, run on an event loop of their own; blocking calls for tests."""

    def __init__(self, database_url: str, **settings: Any) -> None:
        self.database_url = database_url
        self._settings = load_settings(
            {"database_url": database_url, **CHEAP_HASH, **NOT_THROTTLED, **settings}, None, {}
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._stack: list[Any] = []
        self.engines: Engines = self._enter(opened_engines(self._settings))
        if self.run(is_empty(self.engines)):
            self.run(migrate(self.engines))
        self.services: Services = self._enter(built_services(self._settings, self.engines))

    def _enter(self, manager: Any) -> Any:
        entered = self.run(manager.__aenter__())
        self._stack.append(manager)
        return entered

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """The coroutine's result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def close(self) -> None:
        """Close every connection."""
        while self._stack:
            self.run(self._stack.pop().__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def do(self, use_case: Callable[..., Awaitable[_Result]], *arguments: Any) -> _Result:
        """Run a use case."""

        async def call() -> _Result:
            return await use_case(self.services, *arguments)

        return self.run(call())

    def add_person(self, role: Role = Role.OWNER, token_limit: int = 20) -> Person:
        """A new user in a new organization."""
        organization = self.do(add_organization, "Acme", None, token_limit, 30 * 24 * 3600)
        return self.add_person_to(organization.id, role)

    def add_person_to(self, organization_id: str, role: Role = Role.MEMBER) -> Person:
        """A new user in that organization."""
        username = f"{secrets.token_hex(6)}@example.com"
        self.do(add_user, username, PASSWORD, OrganizationId(organization_id), role)
        return Person(organization_id, username)

    def join(self, person: Person, organization_id: str, role: Role = Role.MEMBER) -> Person:
        """The same user as a member of another organization too."""
        self.do(add_member, OrganizationId(organization_id), person.username, role)
        return Person(organization_id, person.username)

    def log_in(self, person: Person, name: str = "", address: str = ADDRESS) -> str:
        """A token in clear."""
        credentials = replace(person.credentials, address=address)
        return self.do(log_in, Login(credentials, name, None, Origin(address, "test"))).token.reveal()

    def issue_child(self, parent: str, methods: list[str], paths: list[str], **limits: Any) -> str:
        """A child token in clear of that token, limited so; `limits` are those of a Scope."""
        digest = TokenDigest(sha256(parent.encode()).digest())
        scope = Scope(frozenset(methods), tuple(paths), **limits)

        async def issue() -> str:
            async with self.services.store.read() as connection:
                standing = await find_standing(connection, digest)
            assert standing is not None
            caller = Caller(standing.identity, standing.token_id, Origin(ADDRESS, "test"))
            asked = ChildTokenRequest("", scope, None)
            issued = await issue_child_token(self.services, caller, standing.token_id, asked)
            return issued.token.reveal()

        return self.run(issue())

    def sql(self, statement: str, **parameters: Any) -> list[Any]:
        """Raw SQL in a transaction of its own, as an operator's shell would run it; the rows."""

        async def call() -> list[Any]:
            async with self.engines.writing.begin() as connection:
                result = await connection.execute(text(statement), parameters)
                return list(result.all()) if getattr(result, "returns_rows", True) else []

        return self.run(call())

    @property
    def an_hour_ago(self) -> str:
        """An SQL expression for a moment in the past, in the database's own representation."""
        if self.engines.sqlite_file is not None:
            return "(CAST(strftime('%s', 'now') AS INTEGER) - 3600) * 1000000"
        return "now() - interval '1 hour'"

    def expire(self, token: str) -> None:
        """Move a token's expiry into the past."""
        self.sql(f"UPDATE token SET expiry = {self.an_hour_ago} WHERE id = :id", id=token[4:16])

    def set_expiry(self, token: str, seconds: int) -> None:
        """Move a token's expiry to so many seconds from now, as the machine's clock has it."""
        moment = time.time() + seconds
        value = str(int(moment * 1_000_000))
        if self.engines.sqlite_file is None:
            value = f"to_timestamp({moment})"
        self.sql(f"UPDATE token SET expiry = {value} WHERE id = :id", id=token[4:16])

    def live_tokens(self, organization_id: str) -> int:
        """How many unexpired tokens the database holds."""
        now = "(CAST(strftime('%s', 'now') AS INTEGER)) * 1000000" if self.engines.sqlite_file else "now()"
        rows = self.sql(
            f"SELECT count(*) FROM token WHERE organization_id = :id AND (expiry IS NULL OR expiry > {now})",
            id=organization_id,
        )
        return int(rows[0][0])
