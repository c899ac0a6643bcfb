"""GET /api/auth/events/"""

from datetime import UTC, datetime
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from nightlatch.edge import documents
from nightlatch.edge.answers import Answer
from nightlatch.edge.identify import identify_by_token_or_basic
from nightlatch.edge.pages import page_body, read_window
from nightlatch.edge.resource import Operation, Resource
from nightlatch.model.event import EventFilter, EventKind, event_document
from nightlatch.model.names import EMAIL_CHARACTERS_MAX, Email, normalize_email
from nightlatch.usecases.services import Services
from nightlatch.usecases.show_events import list_own_events

_FORMAT: Final = (
    "Datetime has wrong format. Use one of these formats instead: "
    "YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z]."
)


def event_list_resource(services: Services) -> Resource:
    """The audit log of an organization, for its owners."""

    async def list_events(request: Request) -> Response:
        """List what happened in the organization, newest first, for its owners."""
        caller = await identify_by_token_or_basic(services, request)
        chosen = read_filter(request)
        window = read_window(request)
        page = await list_own_events(services, caller.identity, chosen, window.limit, window.offset)
        results = [event_document(event) for event in page.items]
        return JSONResponse(page_body(request, window, page.count, results))

    return Resource(
        "/api/auth/events/",
        "Event List",
        "Audit",
        {
            "GET": Operation(
                list_events,
                "List events",
                {
                    200: documents.response(documents.EventPage, "Events, newest first."),
                    400: documents.response(
                        documents.EventErrors,
                        "A filter is unusable, or HTTP Basic without `organization_id`.",
                    ),
                    401: documents.UNAUTHENTICATED,
                    403: documents.response(documents.Detail, "The caller is no owner."),
                    404: documents.NOT_FOUND,
                    503: documents.UNAVAILABLE,
                },
                {
                    "security": documents.TOKEN_OR_BASIC_SECURITY,
                    "parameters": [
                        *documents.EVENT_PARAMETERS,
                        *documents.PAGE_PARAMETERS,
                        documents.ORGANIZATION_PARAMETER,
                    ],
                },
            )
        },
        identify_by_token_or_basic,
    )


def read_filter(request: Request) -> EventFilter:
    """What `kind`, `user`, `since` and `until` say; empty counts as not given.

    Raises the Answer 400 for what is unusable, with every such parameter: a filter that was passed over
    would show what was not asked for.
    """
    errors: dict[str, list[str]] = {}
    kind = _given(request, "kind")
    if kind is not None and kind not in list(EventKind):
        errors["kind"] = [f'"{kind}" is not a valid choice.']
    since, until = _moment(request, "since", errors), _moment(request, "until", errors)
    email = _email(request, errors)
    if errors:
        raise Answer(400, errors)
    return EventFilter(None, email, None if kind is None else EventKind(kind), since, until)


def _given(request: Request, name: str) -> str | None:
    """The last of several counts."""
    values = request.query_params.getlist(name)
    return values[-1].strip() or None if values else None


def _email(request: Request, errors: dict[str, list[str]]) -> Email | None:
    text = _given(request, "user")
    if text is None:
        return None
    if "\x00" in text:
        errors["user"] = ["Null characters are not allowed."]
        return None
    if len(text) > EMAIL_CHARACTERS_MAX:
        errors["user"] = [f"Ensure this field has no more than {EMAIL_CHARACTERS_MAX} characters."]
        return None
    return normalize_email(text)


def _moment(request: Request, name: str, errors: dict[str, list[str]]) -> datetime | None:
    """A moment; without a zone it is in UTC."""
    text = _given(request, name)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        errors[name] = [_FORMAT]
        return None
