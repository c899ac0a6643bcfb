"""Change an organization's name or its rules for tokens."""

from dataclasses import dataclass
from typing import Any, Final

from nightlatch.model.errors import InvalidValue, SessionEnded
from nightlatch.model.event import OPERATOR, Actor, Event, EventKind, acting_user
from nightlatch.model.names import LimitPolicy, OrganizationId, parse_organization_name
from nightlatch.model.origin import Origin
from nightlatch.model.records import Organization
from nightlatch.model.session import Session
from nightlatch.store import organizations
from nightlatch.store.connection import Connection
from nightlatch.store.events import insert_event
from nightlatch.usecases.hold_session import hold_owner
from nightlatch.usecases.organization_rules import (
    check_child_time_to_live,
    check_child_token_limit,
    check_time_to_live,
    check_token_limit,
    no_organization,
)
from nightlatch.usecases.services import Services

_LIMITS: Final = {"token_limit", "limit_policy", "child_token_limit"}
_NAMES: Final = {
    "name": "the organization's name",
    "token_limit": "the token limit",
    "limit_policy": "what happens at the token limit",
    "time_to_live": "how long tokens live",
    "child_token_limit": "the limit of child tokens",
    "child_time_to_live": "how long child tokens live",
}


@dataclass(frozen=True, slots=True)
class OrganizationChange:
    """What to change: None leaves a value; `never_expires` is the time to live without end."""

    name: str | None = None
    token_limit: int | None = None
    limit_policy: LimitPolicy | None = None
    time_to_live: int | None = None
    never_expires: bool = False
    child_token_limit: int | None = None
    child_time_to_live: int | None = None


async def update_organization(
    services: Services, organization_id: OrganizationId, change: OrganizationChange
) -> Organization:
    """The organization as it is afterwards.

    A limit below what is live ends no token, it admits no new one; a new time to live is for
    tokens made from then on. Raises InvalidValue or NotFound.
    """
    values = _values(change)
    async with services.store.write() as connection:
        found = await organizations.lock_organization(connection, organization_id)
        if found is None or found.closed is not None:
            raise no_organization(organization_id)
        return await _update(connection, found, values, OPERATOR)


async def update_organization_as_owner(
    services: Services, session: Session, change: OrganizationChange, origin: Origin
) -> Organization:
    """The same by an owner, of what the operator lets owners change; what stays as it is may be named, too.

    Raises InvalidValue, also of what owners may not change, Forbidden, SessionEnded or StoreUnavailable.
    """
    values = _values(change)
    async with services.store.write() as connection:
        identity = await hold_owner(connection, session)
        found = await organizations.lock_organization(connection, identity.organization_id)
        if found is None:
            raise SessionEnded
        for name, value in values.items():
            if value != getattr(found, name) and name not in services.owners_may_change:
                raise InvalidValue(
                    name, f"Owners may not change {_NAMES[name]} here. The operator of this service can."
                )
        return await _update(connection, found, values, acting_user(identity, None, origin))


def _values(change: OrganizationChange) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if change.name is not None:
        values["name"] = parse_organization_name(change.name)
    if change.token_limit is not None:
        values["token_limit"] = check_token_limit(change.token_limit)
    if change.limit_policy is not None:
        values["limit_policy"] = change.limit_policy
    if change.time_to_live is not None or change.never_expires:
        values["time_to_live"] = check_time_to_live(change.time_to_live)
    if change.child_token_limit is not None:
        values["child_token_limit"] = check_child_token_limit(change.child_token_limit)
    if change.child_time_to_live is not None:
        values["child_time_to_live"] = check_child_time_to_live(change.child_time_to_live)
    return values


async def _update(
    connection: Connection, found: Organization, values: dict[str, Any], actor: Actor
) -> Organization:
    if not values:
        return found
    changed = await organizations.update_organization(connection, found.id, values)
    differences = {
        name: {"before": getattr(found, name), "after": value}
        for name, value in values.items()
        if getattr(found, name) != value
    }
    if differences:
        # A change of several things is one event: of the limit, where that is among them.
        of_limit = not differences.keys().isdisjoint(_LIMITS)
        kind = EventKind.LIMIT_CHANGED if of_limit else EventKind.ORGANIZATION_CHANGED
        await insert_event(connection, Event(kind, actor, found.id, detail=differences))
    return changed
