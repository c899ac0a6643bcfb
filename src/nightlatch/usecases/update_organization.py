"""Change an organization's name or its rules for tokens."""

from dataclasses import dataclass
from typing import Any, Final

from nightlatch.model.event import OPERATOR, Event, EventKind
from nightlatch.model.names import LimitPolicy, OrganizationId, parse_organization_name
from nightlatch.model.records import Organization
from nightlatch.store import organizations
from nightlatch.store.events import insert_event
from nightlatch.usecases.organization_rules import (
    check_child_time_to_live,
    check_child_token_limit,
    check_time_to_live,
    check_token_limit,
    no_organization,
)
from nightlatch.usecases.services import Services

_LIMITS: Final = {"token_limit", "limit_policy", "child_token_limit"}


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
    async with services.store.write() as connection:
        found = await organizations.lock_organization(connection, organization_id)
        if found is None or found.closed is not None:
            raise no_organization(organization_id)
        if not values:
            return found
        changed = await organizations.update_organization(connection, organization_id, values)
        differences = {
            name: {"before": getattr(found, name), "after": value}
            for name, value in values.items()
            if getattr(found, name) != value
        }
        if differences:
            # A change of several things is one event: of the limit, where that is among them.
            of_limit = not differences.keys().isdisjoint(_LIMITS)
            kind = EventKind.LIMIT_CHANGED if of_limit else EventKind.ORGANIZATION_CHANGED
            await insert_event(connection, Event(kind, OPERATOR, organization_id, detail=differences))
    return changed
