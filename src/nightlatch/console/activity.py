"""GET /console/activity/ and its export: the organization's audit log, for owners."""

from collections.abc import AsyncIterator

from starlette.responses import Response, StreamingResponse

from nightlatch.console.asked import Asked
from nightlatch.console.views.activity import ROWS, activity_view, read_activity_query
from nightlatch.model.event_lines import csv_header, csv_line, json_line
from nightlatch.usecases.show_events import list_own_events, read_own_events


async def show_activity(asked: Asked) -> Response:
    """The events that the query asks for, the newest first."""
    asked.check_owner()
    query = read_activity_query(asked.request.query_params)
    identity = asked.session.identity
    found = await list_own_events(
        asked.services, identity, query.filter(identity.organization_id), ROWS, query.offset
    )
    view = activity_view(asked.language, query, found.items, found.count, asked.session.now)
    return asked.page("activity.html", view)


async def send_export(asked: Asked) -> Response:
    """The same events as a file, the oldest first: `format` is csv or jsonl."""
    asked.check_owner()
    query = read_activity_query(asked.request.query_params)
    identity = asked.session.identity
    chosen = query.filter(identity.organization_id)
    is_csv = asked.query("format") != "jsonl"

    async def lines() -> AsyncIterator[str]:
        if is_csv:
            yield csv_header() + "\r\n"
        async for events in read_own_events(asked.services, identity, chosen):
            yield "".join(csv_line(each) + "\r\n" if is_csv else json_line(each) + "\n" for each in events)

    name = (
        f"nightlatch-{identity.organization_id}-{asked.session.now:%Y-%m-%d}.{'csv' if is_csv else 'jsonl'}"
    )
    return asked.sent(
        StreamingResponse(
            lines(),
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
            media_type="text/csv; charset=utf-8" if is_csv else "application/jsonl",
        )
    )
