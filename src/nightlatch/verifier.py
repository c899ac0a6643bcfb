"""The verifier in an API's own process: the same memory and the same strictness, without a server between.

    async with open_verifier(database_url) as verifier:
        identity = await verifier.verify(authorization, client_address)

What it raises, as a caller would catch it:

    NightlatchError
    ├── Refused
    │   ├── TokenRejected       no token, a malformed one, or none that is live: answer 401
    │   ├── WrongOrganization   a live token of another organization: answer 403
    │   └── OutsideScope        a live child token, which is not for this request: answer 403
    ├── Unavailable             it cannot be known at the moment: answer 503, with `retry_after`
    └── CannotStart             by open_verifier only: the URL, the schema or the file; says the way out

`public` is the sentence that a server of Nightlatch's answers with. docs/verifier.md tells what is
guaranteed, and what an API has to do itself.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

from nightlatch.app import built_memory, opened_engines
from nightlatch.background import running_memory
from nightlatch.hot.header import HeaderFault, TokenHeader
from nightlatch.hot.known import Known, KnownChild
from nightlatch.model.errors import (
    CannotStart,
    NightlatchError,
    Refused,
    TokenRejected,
    Unavailable,
)
from nightlatch.model.names import Email, OrganizationId, Role, TokenId, UserId
from nightlatch.model.scope import AskedRequest, OutOfScope
from nightlatch.model.standing import Identity
from nightlatch.settings import load_settings
from nightlatch.store.engine import sqlite_path
from nightlatch.store.schema import check_schema
from nightlatch.usecases.flush_uses import flush_uses
from nightlatch.usecases.services import Memory

__all__ = [
    "CannotStart",
    "Identity",
    "NightlatchError",
    "OutsideScope",
    "Refused",
    "TokenIdentity",
    "TokenRejected",
    "Unavailable",
    "Verifier",
    "WrongOrganization",
    "open_verifier",
]

ADDRESS_CHARACTERS_MAX: Final = 45
"""As long as an IPv6 address gets, and what the database keeps."""

IDENTITIES_MAX: Final = 2048
"""Identities kept as objects; they follow from what is known of a token and nothing else."""


class WrongOrganization(Refused):
    """The token is live, but not of the organization that was asked for."""

    code = "wrong_organization"

    def __init__(self) -> None:
        super().__init__("You do not have permission to perform this action.")


class OutsideScope(Refused):
    """The token is a live child token, and not for this request; `detail` says why, for the log."""

    code = "outside_scope"

    def __init__(self, why: OutOfScope) -> None:
        super().__init__("You do not have permission to perform this action.", why)


class _HeaderRejected(TokenRejected):
    """With the sentence that tells what is wrong with the header."""

    def __init__(self, fault: HeaderFault) -> None:
        NightlatchError.__init__(self, fault.value, fault.name.lower())


@dataclass(frozen=True, slots=True)
class TokenIdentity(Identity):
    """Who acts, and the token it is established by: its public id, and until when it may be used.

    `expiry` is None for a token without end. It does not replace asking again: tokens end earlier.
    """

    token_id: TokenId
    expiry: datetime | None


class Verifier:
    """Tells who is behind an Authorization header; made by `open_verifier`, for the loop it was opened on."""

    def __init__(self, memory: Memory) -> None:
        self._find = memory.lookup.find_nowait
        self._note_child = memory.lookup.note_child
        self._fills = memory.fills

    async def verify(
        self,
        authorization: str | bytes | None,
        client_address: str = "",
        organization_id: str | None = None,
        *,
        method: str | None = None,
        target: str | None = None,
        origin: str | None = None,
    ) -> TokenIdentity:
        """Who the header's live token stands for, true at the moment this returns.

        A token that memory knows is answered without suspension; otherwise the database is asked, for
        a bounded time. `authorization` is the header's value (None: there is none; of several, all
        joined by a comma). The use is noted as the token's last, with the client's address
        (one that cannot be an address: without). With `organization_id` the token must be of that one.

        A child token is accepted for the request that its scope allows: by `method`, `target` (path and
        query as the client sent them, not decoded), `origin` (the Origin header's value, None: there is none)
        and `client_address`. Without method and target it is refused. Its use is noted as its parent's.

        Raises TokenRejected, WrongOrganization, OutsideScope, or Unavailable; nothing is accepted in doubt.
        """
        address = client_address
        header = authorization if isinstance(authorization, bytes) else _header_bytes(authorization)
        if len(address) > ADDRESS_CHARACTERS_MAX or not address.isprintable():
            address = ""  # the database would refuse it, and with it all uses of that flush
        verdict = self._find(header, address)
        known = verdict if type(verdict) is Known else await self._known(verdict, address)
        if isinstance(known, KnownChild):
            _check_scope(known, method, target, origin, client_address)
            self._note_child(known, address)
        identity = _identity(known.packed)
        if organization_id is not None and organization_id != identity.organization_id:
            raise WrongOrganization
        return identity

    async def _known(
        self, verdict: Known | KnownChild | HeaderFault | TokenHeader, address: str
    ) -> Known | KnownChild:
        """What the database says where memory does not know. Raises TokenRejected and Unavailable."""
        if isinstance(verdict, TokenHeader):
            verdict = await self._fills.find(verdict.token, address) or HeaderFault.INVALID
        if isinstance(verdict, HeaderFault):
            raise _HeaderRejected(verdict)
        return verdict


def _check_scope(
    child: KnownChild, method: str | None, target: str | None, origin: str | None, address: str
) -> None:
    """Raise OutsideScope for a request that the child token is not for, or of which too little is known."""
    if method is None or target is None:
        raise OutsideScope(OutOfScope.UNKNOWN)
    why = child.scope.why_refused(AskedRequest(method, target, origin, address))
    if why is not None:
        raise OutsideScope(why)


@asynccontextmanager
async def open_verifier(database_url: str, *, known_tokens_max: int | None = None) -> AsyncIterator[Verifier]:
    """A verifier on a database that a server of this version could use.

    When the block ends, uses are flushed and everything is closed; the verifier accepts nothing then.
    `known_tokens_max` is as in the settings. Open one in each process, after it was forked, and call
    it on the event loop it was opened on.

    Raises CannotStart, with what helps, and Unavailable where the database does not answer.
    """
    settings = load_settings(
        {"database_url": database_url, "known_tokens_max": known_tokens_max}, config=None, environment={}
    )
    _check_file(database_url)
    async with opened_engines(settings) as engines:
        await check_schema(engines)
        with built_memory(settings, engines) as memory:
            async with running_memory(
                memory.currency, lambda: flush_uses(memory), settings.use_flush_seconds
            ):
                yield Verifier(memory)


def _check_file(database_url: str) -> None:
    """Raise CannotStart for an SQLite file that is not there: opening would make one that no server uses."""
    if database_url.startswith("sqlite:") and not os.path.exists(sqlite_path(database_url)):
        raise CannotStart(
            f"There is no file {sqlite_path(database_url)}. "
            "Name the file that the servers of Nightlatch use; to create it, run: nightlatch migrate"
        )


def _header_bytes(authorization: str | None) -> bytes:
    # As HTTP has it; what does not fit becomes a character that no token has.
    return b"" if authorization is None else authorization.encode("latin-1", "replace")


@lru_cache(IDENTITIES_MAX)
def _identity(packed: bytes) -> TokenIdentity:
    organization, email, role, token_id, expiry, user_id = map(unquote, packed.decode("ascii").split("\n"))
    return TokenIdentity(
        OrganizationId(organization),
        UserId(int(user_id)),
        Email(email),
        Role(role),
        TokenId(token_id),
        datetime.fromisoformat(expiry) if expiry else None,
    )
