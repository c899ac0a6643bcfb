"""What is known of a token at the moment of asking."""

from dataclasses import dataclass
from datetime import datetime

from nightlatch.model.names import Email, OrganizationId, Role, TokenId, UserId
from nightlatch.model.origin import Origin


@dataclass(frozen=True, slots=True)
class Identity:
    """Who acts, in which organization: established by a live token or by a password just checked."""

    organization_id: OrganizationId
    user_id: UserId
    email: Email
    role: Role


@dataclass(frozen=True, slots=True)
class Standing:
    """A live token: whose it is, and until when it may be used (None: without end)."""

    token_id: TokenId
    identity: Identity
    expiry: datetime | None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request, by which token (None: by a password), and from where."""

    identity: Identity
    token_id: TokenId | None
    origin: Origin
