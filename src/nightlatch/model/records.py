"""What the store hands out: one frozen value for each thing that is listed or shown."""

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from nightlatch.model.names import Email, LimitPolicy, OrganizationId, Role, TokenId, UserId
from nightlatch.model.scope import Scope
from nightlatch.model.token import PlainToken

Item = TypeVar("Item")

TOKEN_LIMIT_DEFAULT = 20
TOKEN_LIMIT_MAX = 10_000
TIME_TO_LIVE_SECONDS_DEFAULT = 30 * 24 * 3600
TIME_TO_LIVE_SECONDS_MAX = 10 * 365 * 24 * 3600
"""Ten years: also the most that a login may ask for where the organization sets no limit."""
CHILD_TOKEN_LIMIT_MAX = 10_000
CHILD_TIME_TO_LIVE_SECONDS_MAX = 24 * 3600
"""A day: what lives longer belongs into a token of its own."""


@dataclass(frozen=True, slots=True)
class Organization:
    """An organization with its rules for tokens; times to live are in seconds, None means for ever."""

    id: OrganizationId
    name: str
    token_limit: int
    limit_policy: LimitPolicy
    time_to_live: int | None
    created: datetime
    closed: datetime | None
    child_token_limit: int
    child_time_to_live: int


@dataclass(frozen=True, slots=True)
class OrganizationSummary:
    """An organization as its members see it in lists."""

    id: OrganizationId
    name: str


@dataclass(frozen=True, slots=True)
class User:
    """A user as an operator sees one: never with the password hash."""

    id: UserId
    email: Email
    created: datetime
    disabled: datetime | None


@dataclass(frozen=True, slots=True)
class Membership:
    """That a user belongs to an organization, and as what."""

    organization_id: OrganizationId
    user_id: UserId
    email: Email
    role: Role
    created: datetime
    disabled: datetime | None


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """A live token as it is listed; nothing in it helps to use the token."""

    id: TokenId
    name: str
    email: Email
    created: datetime
    expiry: datetime | None
    last_used: datetime | None
    last_address: str | None
    user_agent: str


@dataclass(frozen=True, slots=True)
class TokenOverview:
    """Live tokens that somebody may see, and how many their organization has and may have.

    `time_to_live` in seconds is the most that a new one may have, None for no end.
    """

    tokens: tuple[TokenRecord, ...]
    live: int
    token_limit: int
    limit_policy: LimitPolicy
    time_to_live: int | None


@dataclass(frozen=True, slots=True)
class TokenChoice:
    """Which tokens are meant: those that fit everything that is not None.

    `email` is that of the tokens' user, `idle_days`: not used for so long, nor made in that time.
    """

    ids: frozenset[TokenId] | None = None
    email: Email | None = None
    idle_days: int | None = None


@dataclass(frozen=True, slots=True)
class ChildTokenRecord:
    """A live child token as it is listed; nothing in it helps to use the token."""

    id: TokenId
    parent_id: TokenId
    name: str
    email: Email
    created: datetime
    expiry: datetime
    scope: Scope


@dataclass(frozen=True, slots=True)
class EndedToken:
    """A token that was just deleted."""

    id: TokenId
    organization_id: OrganizationId
    user_id: UserId


@dataclass(frozen=True, slots=True)
class EndedTokens:
    """What ended of several tokens that were to end, and when, by the database's clock.

    `gone` is how many of them were not there: ended before, expired, or never seen by whoever asked.
    """

    ended: tuple[TokenRecord, ...]
    gone: int
    at: datetime


@dataclass(frozen=True, slots=True)
class EndedChild(EndedToken):
    """A child token that was just deleted, and whose parent lives on."""

    parent_id: TokenId


@dataclass(frozen=True, slots=True)
class IssuedChildToken:
    """A child token just made: the only value that holds one in clear together with its expiry."""

    token: PlainToken
    expiry: datetime


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token just made: the only value that holds one in clear together with its expiry."""

    token: PlainToken
    expiry: datetime | None
    replaced: tuple[EndedToken, ...]
    """What was ended to make place for it."""


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """The lease, in milliseconds: as processes use it, and as whoever ends tokens waits for it."""

    milliseconds: int
    waited_milliseconds: int


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """One page of a list, and how many there are in all."""

    items: tuple[Item, ...]
    count: int


@dataclass(frozen=True, slots=True)
class Ended:
    """How many tokens, and links to set a password, were ended at once."""

    tokens: int
    links: int


@dataclass(frozen=True, slots=True)
class RecentChange:
    """Something that was done to a user, a membership or an organization."""

    at: datetime
    what: str
    email: Email | None
    organization_id: OrganizationId | None


@dataclass(frozen=True, slots=True)
class StartedOver:
    """After a restore: what was ended, and what to look through, from `since` on."""

    ended: Ended
    since: datetime
    changes: tuple[RecentChange, ...]
