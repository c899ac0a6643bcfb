"""Close an organization, for good."""

from nightlatch.model.event import OPERATOR, Event, EventKind
from nightlatch.model.names import OrganizationId
from nightlatch.model.records import EndedToken, Organization
from nightlatch.store import organizations
from nightlatch.store.events import insert_event
from nightlatch.store.tokens import delete_tokens_in_organization
from nightlatch.usecases.end_tokens import ending_tokens
from nightlatch.usecases.organization_rules import no_organization
from nightlatch.usecases.services import Services


async def close_organization(
    services: Services, organization_id: OrganizationId
) -> tuple[Organization, list[EndedToken]]:
    """End all its tokens and let nobody log in to it again. Raises NotFound."""
    async with ending_tokens(services) as connection:
        found = await organizations.lock_organization(connection, organization_id)
        if found is None or found.closed is not None:
            raise no_organization(organization_id)
        closed = await organizations.close_organization(connection, organization_id)
        ended = await delete_tokens_in_organization(connection, organization_id, None)
        detail = {"ended_tokens": [token.id for token in ended]}
        event = Event(EventKind.ORGANIZATION_CLOSED, OPERATOR, organization_id, detail=detail)
        await insert_event(connection, event)
    return closed, ended
