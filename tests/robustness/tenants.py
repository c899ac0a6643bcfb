"""Organizations under load: people log in, and their tokens end in every way there is.

Each tenant has a few keepers, which do one thing after another, chosen at random; those of one tenant
race with each other. What changes a user is done by one keeper at a time, and repeated until its
outcome is known: only so can the history tell which password or role was in force.
"""

import asyncio
import base64
import contextlib
import json
import os
import random
import secrets
import sys
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from nightlatch.model.errors import Refused
from nightlatch.model.names import OrganizationId, Role
from nightlatch.usecases.add_member import add_member
from nightlatch.usecases.add_organization import add_organization
from nightlatch.usecases.add_user import add_user
from nightlatch.usecases.change_role import change_role
from nightlatch.usecases.close_organization import close_organization
from nightlatch.usecases.disable_user import disable_user, enable_user
from nightlatch.usecases.remove_member import remove_member
from nightlatch.usecases.set_password import set_password
from tests.accounts import CHEAP_HASH, PASSWORD, Accounts
from tests.robustness.history import OPEN_OUTCOMES, Kind, Outcome, now
from tests.robustness.traffic import Call, Caller, Lane, Token
from tests.robustness.wire import request

TIME_TO_LIVE_SECONDS = 30 * 24 * 3600
TRIES_MAX = 40
PAUSE_SECONDS = (0.02, 0.12)
COMMAND_EVERY_SECONDS = 6.0
"""A command is a process of its own, which costs as much as thousands of requests."""

CHOICES: dict[str, int] = {
    "log_out": 40,
    "revoke": 22,
    "log_in": 8,  # although there is no room left, as far as is known
    "log_out_everywhere": 6,
    "set_password": 6,
    "disable": 5,
    "remove": 5,
    "set_role": 6,
    "delete_row": 5,
    "command": 3,
    "close": 1,
}
"""What a keeper does, by how often."""


@dataclass(slots=True, eq=False)
class User:
    """A user of one or several tenants."""

    email: str
    password: str = PASSWORD
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True, eq=False)
class Tenant:
    """An organization, as far as its client knows."""

    organization: str
    limit: int
    people: list[User] = field(default_factory=list)
    """The first is an owner for good."""
    tokens: dict[str, Token] = field(default_factory=dict)
    closed: bool = False


class Keepers:
    """Keeps one client's tenants busy."""

    def __init__(
        self,
        accounts: Accounts,
        caller: Caller,
        lanes: list[Lane],
        chance: random.Random,
        settle_seconds: float,
        made: Callable[[Token], None],
        ended: Callable[[list[Token], int, int], None],
        choices: dict[str, int],
    ) -> None:
        self.running = True
        self.tenants: list[Tenant] = []
        self._accounts = accounts
        self._caller = caller
        self._lanes = lanes
        self._chance = chance
        self._settle_seconds = settle_seconds
        self._made = made
        self._ended = ended
        self._choices = choices
        self._roaming = User("")
        self._next_command = now()

    async def open_tenants(self, count: int) -> None:
        """Make organizations and people."""
        for _ in range(count):
            self.tenants.append(await self._open_tenant())

    async def keep(self, place: int) -> None:
        """One keeper of the tenant at that place, until all are to end."""
        while self.running:
            tenant = self.tenants[place]
            has_room = len(tenant.tokens) < tenant.limit
            if not tenant.tokens or (has_room and self._chance.random() < 0.6):
                await self._log_in(tenant)
            else:
                name = self._chance.choices(list(self._choices), list(self._choices.values()))[0]
                action: Callable[[Tenant], Awaitable[None]] = getattr(self, f"_{name}")
                await action(tenant)
            await asyncio.sleep(self._chance.uniform(*PAUSE_SECONDS))

    # --- over HTTP

    def _lane(self) -> Lane:
        idle = [lane for lane in self._lanes if not lane.busy.locked()]
        return self._chance.choice(idle or self._lanes)

    async def _log_in(self, tenant: Tenant) -> None:
        user = self._chance.choice(tenant.people)
        text, call = await self._caller.log_in(self._lane(), tenant.organization, user.email, user.password)
        if text:
            token = Token(text[4:16], text, tenant.organization, user.email, tenant.tokens)
            tenant.tokens[token.id] = token
            self._made(token)
        elif call is not None and call.status == 403 and len(tenant.tokens) < tenant.limit / 2:
            # The room is taken by tokens of logins whose answer was lost: nobody else can end them.
            if "set_password" in self._choices:
                await self._set_password(tenant)
            else:
                await self._revoke_unknown(tenant)

    def _choose(self, tenant: Tenant) -> Token:
        """An older one rather than a new one: memory everywhere shall know it."""
        tokens = list(tenant.tokens.values())
        return tokens[min(self._chance.randrange(len(tokens)) for _ in range(2))]

    async def _until_known(self, call: Callable[[], Awaitable[Call | None]]) -> Call | None:
        """Repeat, elsewhere, until it is known what happened."""
        answered = None
        for _ in range(TRIES_MAX):
            answered = await call()
            if answered is not None and answered.outcome not in OPEN_OUTCOMES:
                break
            if not self.running:
                break
            await asyncio.sleep(0.1)
        return answered

    async def _log_out(self, tenant: Tenant) -> None:
        token = self._choose(tenant)
        sent = token.request("POST", "/api/auth/logout/")
        call = await self._until_known(lambda: self._caller.end(self._lane(), Kind.LOGOUT, sent, token))
        self._after(call, [token])

    def _after(self, call: Call | None, tokens: list[Token]) -> None:
        """A call that asked to end tokens: they have ended too where it was answered that there are none."""
        if call is not None and (call.outcome is Outcome.OK or call.status == 401):
            self._ended(tokens, call.process, call.end)

    async def _revoke(self, tenant: Tenant) -> None:
        """By an owner's password: an owner may revoke any, and has no token at stake."""
        token = self._choose(tenant)
        owner = tenant.people[0]
        unchanged = owner.changing if "set_password" in self._choices else contextlib.nullcontext()
        async with unchanged:
            sent = self._revocation(tenant, token.id)
            call = await self._until_known(lambda: self._caller.end(self._lane(), Kind.REVOKE, sent, token))
        if call is not None and call.status in (204, 404):
            self._ended([token], call.process, call.end)

    def _revocation(self, tenant: Tenant, token_id: str) -> bytes:
        path = f"/api/auth/tokens/{token_id}/?organization_id={tenant.organization}"
        return request("DELETE", path, (("Authorization", _basic(tenant.people[0])),))

    async def _revoke_unknown(self, tenant: Tenant) -> None:
        """Tokens that the server lists, and nobody has."""
        path = f"/api/auth/tokens/?organization_id={tenant.organization}"
        sent = request("GET", path, (("Authorization", _basic(tenant.people[0])),))
        listed = await self._caller.exchange(self._lane(), sent)
        if listed is None or listed.reply is None or listed.status != 200:
            return
        for shown in json.loads(listed.reply.body)["results"]:
            if shown["id"] not in tenant.tokens:
                token = Token(shown["id"], "", tenant.organization, shown["user"])
                sent = self._revocation(tenant, token.id)
                await self._caller.end(self._lane(), Kind.REVOKE, sent, token)

    async def _log_out_everywhere(self, tenant: Tenant) -> None:
        token = self._choose(tenant)
        sent = token.request("POST", "/api/auth/logoutall/")
        covered = self._of(token.user, [tenant])
        call = await self._until_known(
            lambda: self._caller.end(
                self._lane(), Kind.LOGOUTALL, sent, token, token.organization, token.user
            )
        )
        self._after(call, covered if call is not None and call.outcome is Outcome.OK else [token])

    def _of(self, email: str, tenants: Iterable[Tenant]) -> list[Token]:
        return [token for tenant in tenants for token in tenant.tokens.values() if token.user == email]

    # --- through use cases, SQL and the command line

    async def _record(
        self,
        kind: Kind,
        node: str,
        work: Callable[[], Any],
        *,
        organization: str = "",
        user: str = "",
        token: str = "",
        detail: str = "",
        settle: bool = False,
    ) -> tuple[Outcome, Any]:
        """Run blocking work in a thread; its outcome and result."""
        start = now()
        result: Any = None
        try:
            result = await asyncio.to_thread(work)
            outcome = Outcome.OK
        except Refused:
            outcome = Outcome.REFUSED
        except Exception as error:
            sys.stderr.write(f"{kind} {node}: {type(error).__name__}\n")
            outcome = Outcome.UNKNOWN
        if settle and outcome is Outcome.OK:
            await asyncio.sleep(self._settle_seconds)
        if kind is Kind.OPEN and result is not None:
            organization = result.id
        self._caller.writer.write(
            kind, start, now(), node, os.getpid(), outcome, 0, token, organization, user, detail
        )
        return outcome, result

    async def _do(
        self, kind: Kind, use_case: Callable[..., Awaitable[Any]], *arguments: Any, **names: Any
    ) -> tuple[bool, bool]:
        """Run a use case until its outcome is known: whether it was done, and whether it may have been."""
        doubtful = False
        for _ in range(TRIES_MAX):
            outcome, _ = await self._record(
                kind, "admin", lambda: self._accounts.do(use_case, *arguments), **names
            )
            if outcome not in OPEN_OUTCOMES:
                return outcome is Outcome.OK, doubtful or outcome is Outcome.OK
            doubtful = True
            await asyncio.sleep(0.2)
        return False, True

    def _acknowledged(self, tokens: list[Token]) -> None:
        self._ended(tokens, os.getpid(), now())

    async def _open_tenant(self) -> Tenant:
        limit = self._chance.randint(5, 12)
        organization = None
        while organization is None:
            _, organization = await self._record(
                Kind.OPEN,
                "admin",
                lambda: self._accounts.do(add_organization, "Acme", None, limit, TIME_TO_LIVE_SECONDS),
                detail=str(limit),
            )
        tenant = Tenant(organization.id, limit)
        for role in (Role.OWNER, Role.MEMBER, Role.OWNER):
            tenant.people.append(await self._add_user(tenant.organization, role))
        if not self._roaming.email:
            self._roaming = await self._add_user(tenant.organization, Role.MEMBER)
        else:
            await self._add_member(tenant.organization, self._roaming, Role.MEMBER)
        tenant.people.append(self._roaming)
        return tenant

    async def _add_user(self, organization: str, role: Role) -> User:
        while True:
            user = User(f"{secrets.token_hex(6)}@example.com")
            done, _ = await self._do_once_added(organization, user, role)
            if done:
                return user

    async def _do_once_added(self, organization: str, user: User, role: Role) -> tuple[bool, bool]:
        return await self._do(
            Kind.ADD_MEMBER,
            add_user,
            user.email,
            user.password,
            OrganizationId(organization),
            role,
            organization=organization,
            user=user.email,
            detail=role.value,
        )

    async def _add_member(self, organization: str, user: User, role: Role) -> None:
        await self._do(
            Kind.ADD_MEMBER,
            add_member,
            OrganizationId(organization),
            user.email,
            role,
            organization=organization,
            user=user.email,
            detail=role.value,
        )

    async def _set_password(self, tenant: Tenant) -> None:
        user = self._chance.choice(tenant.people)
        async with user.changing:
            password = f"correct horse {secrets.token_hex(8)}"
            covered = self._of(user.email, self.tenants)
            done, _ = await self._do(Kind.PASSWORD, set_password, user.email, password, user=user.email)
            if done:
                user.password = password
                self._acknowledged(covered)

    async def _disable(self, tenant: Tenant) -> None:
        user = self._chance.choice(tenant.people[1:])
        async with user.changing:
            covered = self._of(user.email, self.tenants)
            done, perhaps = await self._do(Kind.DISABLE, disable_user, user.email, user=user.email)
            if done:
                self._acknowledged(covered)
                await asyncio.sleep(self._chance.uniform(0, 0.2))
            if perhaps:
                await self._do(Kind.ENABLE, enable_user, user.email, user=user.email)

    async def _remove(self, tenant: Tenant) -> None:
        user = self._chance.choice(tenant.people[1:])
        organization = OrganizationId(tenant.organization)
        async with user.changing:
            covered = self._of(user.email, [tenant])
            done, perhaps = await self._do(
                Kind.REMOVE_MEMBER,
                remove_member,
                organization,
                user.email,
                organization=organization,
                user=user.email,
            )
            if done:
                self._acknowledged(covered)
                await asyncio.sleep(self._chance.uniform(0, 0.2))
            if perhaps:
                await self._add_member(organization, user, self._chance.choice(list(Role)))

    async def _set_role(self, tenant: Tenant) -> None:
        user = self._chance.choice(tenant.people[1:])
        organization = OrganizationId(tenant.organization)
        role = self._chance.choice(list(Role))
        async with user.changing:
            await self._do(
                Kind.SET_ROLE,
                change_role,
                organization,
                user.email,
                role,
                organization=organization,
                user=user.email,
                detail=role.value,
                settle=True,
            )

    async def _delete_row(self, tenant: Tenant) -> None:
        """As an operator's shell would. It waits for nobody: in force a lease after its commit."""
        token = self._choose(tenant)
        outcome, _ = await self._record(
            Kind.DELETE_ROW,
            "sql",
            lambda: self._accounts.sql("DELETE FROM token WHERE id = :id", id=token.id),
            token=token.id,
            settle=True,
        )
        if outcome is Outcome.OK:
            self._acknowledged([token])

    async def _close(self, tenant: Tenant) -> None:
        if tenant.closed:
            return
        tenant.closed = True
        place = self.tenants.index(tenant)
        covered = list(tenant.tokens.values())
        organization = OrganizationId(tenant.organization)
        done, _ = await self._do(Kind.CLOSE, close_organization, organization, organization=organization)
        if done:
            self._acknowledged(covered)
        self.tenants[place] = await self._open_tenant()

    async def _command(self, tenant: Tenant) -> None:
        """`nightlatch token revoke`, in a process of its own."""
        if now() < self._next_command:
            return
        self._next_command = now() + int(COMMAND_EVERY_SECONDS * 1e9)
        token = self._choose(tenant)
        command = ("token", "revoke", token.id, "--organization", tenant.organization, "--json")
        start = now()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "nightlatch", *command),
            env=_environment(self._accounts.database_url),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        output, _ = await process.communicate()
        end = now()
        outcome = _command_outcome(process.returncode, output)
        self._caller.writer.write(
            Kind.REVOKE, start, end, "cli", process.pid, outcome, process.returncode or 0, token.id
        )
        if outcome is Outcome.OK:
            self._ended([token], process.pid, end)


def _basic(user: User) -> str:
    return "Basic " + base64.b64encode(f"{user.email}:{user.password}".encode()).decode()


def _environment(database_url: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NIGHTLATCH_")}
    cheap = {f"NIGHTLATCH_{name.upper()}": str(value) for name, value in CHEAP_HASH.items()}
    return kept | cheap | {"NIGHTLATCH_DATABASE_URL": database_url}


def _command_outcome(code: int | None, output: bytes) -> Outcome:
    if code == 0:
        return Outcome.OK
    try:
        error = json.loads(output)["error"]
    except (ValueError, KeyError, TypeError):
        return Outcome.UNKNOWN
    return Outcome.REFUSED if error == "not_found" else Outcome.UNKNOWN
