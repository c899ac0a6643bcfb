"""Start over after a restore: end whatever a backup cannot vouch for (H40).

What was ended after the backup was made lives in it. So all tokens end, and all links to set a password.
Users, memberships and passwords are as the backup has them, and only people know what has to be
done to them again: what was done to them last is listed.
"""

from nightlatch.model.event import OPERATOR, Event, EventKind
from nightlatch.model.records import StartedOver
from nightlatch.store.connection import Connection
from nightlatch.store.events import insert_event
from nightlatch.store.restores import (
    REVIEWED,
    end_everything,
    last_moment,
    list_recent_changes,
    renew_epoch,
)
from nightlatch.usecases.end_tokens import ending_tokens
from nightlatch.usecases.services import Services


async def start_over(services: Services) -> StartedOver:
    """On the database that was restored; when this returns, no process accepts any of the tokens."""
    async with ending_tokens(services) as connection:
        return await started_over(connection)


async def started_over(connection: Connection) -> StartedOver:
    """The same within a transaction, for a database that nothing answers from."""
    since = await last_moment(connection) - REVIEWED
    changes = await list_recent_changes(connection, since)
    # Tokens first: as in every other transaction the counter's row is locked last.
    ended = await end_everything(connection)
    await renew_epoch(connection)
    detail = {"tokens": ended.tokens, "links": ended.links}
    await insert_event(connection, Event(EventKind.RESTORED, OPERATOR, detail=detail))
    return StartedOver(ended, since, changes)
