"""Moving in: what another service's database holds, what becomes of it here, and what does not."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from nightlatch.model.imported import ImportedKind
from nightlatch.model.names import Email, LimitPolicy, OrganizationId, Role
from nightlatch.model.token import TokenDigest

EXAMPLES_MAX: Final = 5


class Service(StrEnum):
    """Whose tokens they are."""

    KNOX = "knox"
    DRF = "drf"


@dataclass(frozen=True, slots=True)
class SourceUser:
    """A user of a Django project; `key` is what its tokens refer to it by."""

    key: str
    username: str
    email: str
    password_hash: str = field(repr=False)
    active: bool


@dataclass(frozen=True, slots=True)
class SourceToken:
    """A token as it is stored there.

    `stored` is knox's digest in hexadecimal, or the clear key of Django REST framework; `token_key` what
    knox looks it up by: how the token begins.
    """

    user_key: str
    stored: str = field(repr=False)
    token_key: str = field(repr=False)
    salted: bool
    created: datetime | None
    expiry: datetime | None


@dataclass(frozen=True, slots=True)
class Source:
    """All of a service's users and tokens, of one moment."""

    service: Service
    users: list[SourceUser]
    tokens: list[SourceToken]


@dataclass(frozen=True, slots=True)
class Placement:
    """A line of the mapping: that a user belongs to an organization.

    `tokens`: the tokens of a user with several organizations are this one's.
    """

    user_key: str
    """The source's key; empty: the user is named by `login`."""
    login: str
    organization_id: str
    organization_name: str
    role: str
    tokens: bool


@dataclass(frozen=True, slots=True)
class PlannedUser:
    """A user to be there; `password_hash` None: one who has to set a password first."""

    email: Email
    password_hash: str | None = field(repr=False)
    active: bool
    roles: Mapping[OrganizationId, Role]


@dataclass(frozen=True, slots=True)
class PlannedToken:
    """A token to be there."""

    digest: TokenDigest
    organization_id: OrganizationId
    email: Email
    created: datetime | None
    expiry: datetime | None


class Reason(StrEnum):
    """Why something is left out, or what is to be known of it; the value is for scripts."""

    # Left out: users
    USER_WITHOUT_EMAIL = "user_without_email"
    USER_DUPLICATE = "user_duplicate"
    # Left out: lines of the mapping
    PLACEMENT_UNKNOWN_USER = "placement_unknown_user"
    PLACEMENT_ORGANIZATION_ID = "placement_organization_id"
    PLACEMENT_ROLE = "placement_role"
    ORGANIZATION_CLOSED = "organization_closed"
    # Left out: tokens
    TOKEN_EXPIRED = "token_expired"
    TOKEN_SALTED = "token_salted"
    TOKEN_OTHER_ALGORITHM = "token_other_algorithm"
    TOKEN_PREFIX = "token_prefix"
    TOKEN_FORM = "token_form"
    TOKEN_OF_NO_USER = "token_of_no_user"
    TOKEN_OF_INACTIVE_USER = "token_of_inactive_user"
    TOKEN_WITHOUT_ORGANIZATION = "token_without_organization"
    TOKEN_AMBIGUOUS_ORGANIZATION = "token_ambiguous_organization"
    TOKEN_OF_OLD_KNOX = "token_of_old_knox"
    # To be known
    LOGIN_BY_EMAIL = "login_by_email"
    PASSWORD_UNUSABLE = "password_unusable"
    PASSWORD_ALGORITHM = "password_algorithm"
    USER_INACTIVE = "user_inactive"
    USER_WITHOUT_ORGANIZATION = "user_without_organization"
    ORGANIZATION_WITHOUT_OWNER = "organization_without_owner"
    ENDED_HERE = "ended_here"
    ENDED_THERE = "ended_there"
    USER_GONE = "user_gone"
    LAST_OWNER = "last_owner"


NOTES: Final = frozenset(
    {
        Reason.LOGIN_BY_EMAIL,
        Reason.PASSWORD_UNUSABLE,
        Reason.PASSWORD_ALGORITHM,
        Reason.USER_INACTIVE,
        Reason.USER_WITHOUT_ORGANIZATION,
        Reason.ORGANIZATION_WITHOUT_OWNER,
        Reason.ENDED_HERE,
        Reason.ENDED_THERE,
        Reason.USER_GONE,
        Reason.LAST_OWNER,
    }
)
"""What these are about is imported all the same."""


@dataclass(slots=True)
class Remarks:
    """How often each reason was met, with the first few names of whom it is about."""

    counts: Counter[Reason] = field(default_factory=Counter)
    examples: dict[Reason, list[str]] = field(default_factory=dict)

    def add(self, reason: Reason, name: str, count: int = 1) -> None:
        """Note it."""
        self.counts[reason] += count
        named = self.examples.setdefault(reason, [])
        if name and name not in named and len(named) < EXAMPLES_MAX:
            named.append(name)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a source comes to here, before it is compared with what there is."""

    service: Service
    organizations: Mapping[OrganizationId, str]
    users: list[PlannedUser]
    emails: frozenset[Email]
    """What anybody there logs in with, also who is left out because several do."""
    tokens: list[PlannedToken]
    kinds: frozenset[ImportedKind]
    stored: frozenset[bytes]
    """Digests of all tokens that may be accepted there, also of those that are left out."""
    remarks: Remarks


@dataclass(slots=True)
class Tally:
    """Of one sort of things: how many the plan has, and how many of them were, or would be, new."""

    planned: int = 0
    new: int = 0


@dataclass(frozen=True, slots=True)
class OverLimit:
    """An organization that has more live tokens than its limit.

    By its policy it gives out none before that changes, or the next login ends as many as are too many.
    """

    organization_id: OrganizationId
    live: int
    limit: int
    policy: LimitPolicy


@dataclass(slots=True)
class Report:
    """What an import did, or would do."""

    service: Service
    dry_run: bool
    remarks: Remarks
    organizations: Tally = field(default_factory=Tally)
    users: Tally = field(default_factory=Tally)
    memberships: Tally = field(default_factory=Tally)
    tokens: Tally = field(default_factory=Tally)
    followed: Counter[str] = field(default_factory=Counter)
    """What was, or would be, changed here because it has changed there."""
    coming: Counter[OrganizationId] = field(default_factory=Counter)
    """In a dry run, how many live tokens more each organization would have."""
    over_limit: list[OverLimit] = field(default_factory=list)
