"""Add an organization."""

from nightlatch.model.event import OPERATOR, Event, EventKind
from nightlatch.model.names import (
    LimitPolicy,
    OrganizationId,
    generate_organization_id,
    parse_organization_id,
    parse_organization_name,
)
from nightlatch.model.records import Organization
from nightlatch.store.events import insert_event
from nightlatch.store.organizations import insert_organization
from nightlatch.usecases.organization_rules import check_time_to_live, check_token_limit
from nightlatch.usecases.services import Services


async def add_organization(
    services: Services,
    name: str,
    organization_id: str | None,
    token_limit: int,
    time_to_live: int | None,
    limit_policy: LimitPolicy = LimitPolicy.REFUSE,
) -> Organization:
    """A new organization with that id, or a random one; `time_to_live` in seconds, None: no expiry.

    Raises InvalidValue or AlreadyExists.
    """
    chosen: OrganizationId = (
        generate_organization_id() if organization_id is None else parse_organization_id(organization_id)
    )
    async with services.store.write() as connection:
        added = await insert_organization(
            connection,
            chosen,
            parse_organization_name(name),
            check_token_limit(token_limit),
            limit_policy,
            check_time_to_live(time_to_live),
        )
        detail = {
            "name": added.name,
            "token_limit": added.token_limit,
            "limit_policy": added.limit_policy,
            "time_to_live": added.time_to_live,
        }
        await insert_event(connection, Event(EventKind.ORGANIZATION_ADDED, OPERATOR, chosen, detail=detail))
    return added
