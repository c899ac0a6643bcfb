"""What is known of a token at the moment of asking."""

from dataclasses import dataclass
from datetime import datetime

from nightlatch.model.names import Email, OrganizationId, Role, TokenId, UserId
from nightlatch.model.origin import Origin
from nightlatch.model.scope import Scope
from nightlatch.model.token import TokenDigest


@dataclass(frozen=True, slots=True)
class Identity:
    """Who acts, in which organization: established by a live token or by a password just checked."""

    organization_id: OrganizationId
    user_id: UserId
    email: Email
    role: Role


@dataclass(frozen=True, slots=True)
class Descent:
    """That a token is a child: what it may do, and of which token it is one."""

    parent: TokenDigest
    scope: Scope


@dataclass(frozen=True, slots=True)
class Standing:
    """A live token: whose it is, and until when it may be used (None: without end).

    `descent` is None for a token that was made by a login, and may do whatever its user may.
    """

    token_id: TokenId
    identity: Identity
    expiry: datetime | None
    descent: Descent | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request, by which token (None: by a password), and from where."""

    identity: Identity
    token_id: TokenId | None
    origin: Origin
