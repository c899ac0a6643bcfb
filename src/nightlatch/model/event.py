"""The audit log's events: what happened, who did it, to whom."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from nightlatch.model.names import Email, OrganizationId, TokenId, UserId
from nightlatch.model.origin import Origin
from nightlatch.model.standing import Caller, Identity
from nightlatch.model.times import wire_time


class EventKind(StrEnum):
    """What can happen; docs/audit.md tells what each one's detail holds."""

    LOGIN = "login"
    LOGIN_REFUSED = "login_refused"
    LIMIT_REACHED = "limit_reached"
    THROTTLED = "throttled"
    LOGOUT = "logout"
    LOGOUT_ALL = "logout_all"
    TOKEN_CREATED = "token_created"
    TOKEN_REVOKED = "token_revoked"
    TOKENS_REVOKED = "tokens_revoked"
    CHILD_TOKEN_ISSUED = "child_token_issued"
    CHILD_TOKEN_REVOKED = "child_token_revoked"
    PASSWORD_CHANGED = "password_changed"
    PASSWORD_LINK_ISSUED = "password_link_issued"
    SIGNED_IN = "signed_in"
    SIGNED_OUT = "signed_out"
    SESSIONS_ENDED = "sessions_ended"
    USER_ADDED = "user_added"
    USER_DISABLED = "user_disabled"
    USER_ENABLED = "user_enabled"
    MEMBER_INVITED = "member_invited"
    INVITATION_WITHDRAWN = "invitation_withdrawn"
    MEMBER_ADDED = "member_added"
    MEMBER_CHANGED = "member_changed"
    MEMBER_REMOVED = "member_removed"
    ORGANIZATION_ADDED = "organization_added"
    ORGANIZATION_CHANGED = "organization_changed"
    ORGANIZATION_CLOSED = "organization_closed"
    LIMIT_CHANGED = "limit_changed"
    LEASE_CHANGED = "lease_changed"
    RESTORED = "restored"
    IMPORTED = "imported"


class ActorKind(StrEnum):
    """Who can do something."""

    USER = "user"
    OPERATOR = "operator"
    ANONYMOUS = "anonymous"
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it, and from where; `token_id` is the token that told so, None where a password did."""

    kind: ActorKind
    user_id: UserId | None = None
    email: Email | None = None
    token_id: TokenId | None = None
    origin: Origin = field(default_factory=Origin)


OPERATOR = Actor(ActorKind.OPERATOR)
"""Whoever has a shell and the database: the command line."""


def acting_user(identity: Identity, token_id: TokenId | None, origin: Origin) -> Actor:
    """A user, by that token or (None) by a password."""
    return Actor(ActorKind.USER, identity.user_id, identity.email, token_id, origin)


def acting_caller(caller: Caller) -> Actor:
    """Who makes a request."""
    return acting_user(caller.identity, caller.token_id, caller.origin)


@dataclass(frozen=True, slots=True)
class Event:
    """What happened, to be recorded; user and token are those it was done to.

    `detail` is written as JSON, and holds no secret.
    """

    kind: EventKind
    actor: Actor
    organization_id: OrganizationId | None = None
    user_id: UserId | None = None
    email: Email | None = None
    token_id: TokenId | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EventRecord:
    """An event as it was recorded; `kind` is text, since a later version may have written it.

    `count` is more than 1 where like events were counted together; `at` is the time of the first.
    """

    id: int
    at: datetime
    kind: str
    organization_id: OrganizationId | None
    actor: ActorKind
    actor_email: Email | None
    actor_token_id: TokenId | None
    email: Email | None
    token_id: TokenId | None
    address: str | None
    user_agent: str | None
    request_id: str | None
    detail: Mapping[str, Any]
    count: int


def event_document(event: EventRecord) -> dict[str, Any]:
    """An event as it is written outside, by the API and the command line alike."""
    return {
        "id": event.id,
        "at": wire_time(event.at),
        "kind": event.kind,
        "organization_id": event.organization_id,
        "actor": event.actor,
        "actor_user": event.actor_email,
        "actor_token_id": event.actor_token_id,
        "user": event.email,
        "token_id": event.token_id,
        "address": event.address,
        "user_agent": event.user_agent,
        "request_id": event.request_id,
        "detail": event.detail,
        "count": event.count,
    }


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events are asked for: those that fit everything that is not None.

    `email` is the user's whom it was done to, which for most kinds is who did it as well. `since`
    belongs to the time asked for, `until` does not.
    """

    organization_id: OrganizationId | None = None
    email: Email | None = None
    kind: EventKind | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Retention:
    """For how many days events are kept, and the addresses and user agents in them."""

    event_days: int
    address_days: int
