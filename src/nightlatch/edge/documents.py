"""What answers look like, for the OpenAPI document. Handlers build them; a test compares the two."""

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

from nightlatch.model.event import EventKind
from nightlatch.model.names import EMAIL_CHARACTERS_MAX


class IssuedTokenBody(BaseModel):
    """A token just made; this answer is the only one that ever holds it."""

    expiry: str | None = Field(
        description="When it expires, null for never.", examples=["2026-12-24T10:00:00.000000Z"]
    )
    token: str = Field(description="Send it as `Authorization: Token …` with each request.")


class ScopeBody(BaseModel):
    """What a child token is limited to."""

    methods: list[str]
    paths: list[str]
    origin: str | None = Field(description="Null: any.")
    addresses: list[str] | None = Field(description="Null: any.")


class IssuedChildTokenBody(ScopeBody):
    """A child token just made; this answer is the only one that ever holds it."""

    id: str
    name: str
    expiry: str = Field(description="When it expires, unless its parent ends before.")
    token: str = Field(description="Sent as `Authorization: Token …`, as any other.")


class ChildTokenBody(ScopeBody):
    """A live child token, without anything that would help to use it."""

    id: str
    name: str
    user: str
    created: str
    expiry: str


class ChildTokenPage(BaseModel):
    """A page of child tokens."""

    count: int
    next: str | None
    previous: str | None
    results: list[ChildTokenBody]


class ChildTokenErrors(BaseModel):
    """Errors by field, that of a field that is not known too; a body that cannot be read has `detail`."""

    methods: list[str] | None = None
    paths: list[str] | None = None
    origin: list[str] | None = None
    addresses: list[str] | None = None
    time_to_live: list[str] | None = None
    name: list[str] | None = None
    non_field_errors: list[str] | None = None
    detail: str | None = None


class TokenBody(BaseModel):
    """A live token, without anything that would help to use it."""

    id: str
    name: str
    user: str
    created: str
    expiry: str | None
    last_used: str | None
    last_address: str | None
    user_agent: str


class OrganizationBody(BaseModel):
    """An organization; `uuid` is the organization id."""

    name: str
    uuid: str


class TokenPage(BaseModel):
    """A page of tokens."""

    count: int
    next: str | None
    previous: str | None
    results: list[TokenBody]


class OrganizationPage(BaseModel):
    """A page of organizations."""

    count: int
    next: str | None
    previous: str | None
    results: list[OrganizationBody]


class EventBody(BaseModel):
    """Something that happened in the organization; `user` and `token_id` are those it was done to."""

    id: int
    at: str
    kind: str
    organization_id: str | None
    actor: Literal["user", "operator", "anonymous", "server"] = Field(description="Who did it.")
    actor_user: str | None
    actor_token_id: str | None = Field(description="The token that told so, null where a password did.")
    user: str | None
    token_id: str | None
    address: str | None
    user_agent: str | None
    request_id: str | None
    detail: dict[str, Any] = Field(description="What else there is to know of this kind.")
    count: int = Field(description="More than 1 where like refusals were counted together.")


class EventPage(BaseModel):
    """A page of events."""

    count: int = Field(
        description="Exact up to 10,000; beyond it says only that there are more than were passed over."
    )
    next: str | None
    previous: str | None
    results: list[EventBody]


class EventErrors(BaseModel):
    """Errors by parameter."""

    kind: list[str] | None = None
    user: list[str] | None = None
    since: list[str] | None = None
    until: list[str] | None = None
    organization_id: list[str] | None = None


class Detail(BaseModel):
    """An error of the whole request."""

    detail: str


class FieldErrors(BaseModel):
    """Errors by field, or of all fields together; a body that cannot be read has `detail` instead."""

    username: list[str] | None = None
    password: list[str] | None = None
    organization_id: list[str] | None = None
    name: list[str] | None = None
    time_to_live: list[str] | None = None
    non_field_errors: list[str] | None = None
    detail: str | None = None


class PasswordErrors(BaseModel):
    """Errors by field, or of all fields together; a body that cannot be read has `detail` instead."""

    link: list[str] | None = None
    password: list[str] | None = None
    non_field_errors: list[str] | None = None
    detail: str | None = None


class LimitReached(BaseModel):
    """The organization has as many live tokens as it may have."""

    error: str
    detail: str
    code: str


class ForbiddenOrLimitReached(RootModel[LimitReached | Detail]):
    """One or the other."""


class ActiveToken(BaseModel):
    """A live token of the caller's organization."""

    active: Literal[True]
    token_type: Literal["Token"]
    token_id: str
    organization_id: str
    sub: str = Field(description="The user's id, which stays when the e-mail address changes.")
    username: str = Field(description="The user's e-mail address.")
    role: Literal["owner", "member"]
    exp: int | None = Field(
        default=None,
        description="When it expires, in whole seconds since 1970; absent if it never does.",
    )


class InactiveToken(BaseModel):
    """Anything else, whatever it is."""

    model_config = ConfigDict(extra="forbid")

    active: Literal[False]


class Introspection(RootModel[ActiveToken | InactiveToken]):
    """What a token is at the moment (RFC 7662 section 2.2)."""


class InvalidRequest(BaseModel):
    """An error as RFC 6749 section 5.2 writes it."""

    error: Literal["invalid_request"]
    error_description: str


class PresentedErrors(RootModel[InvalidRequest | FieldErrors]):
    """Something is wrong with `token`, or with the body, or with HTTP Basic."""


class Health(BaseModel):
    """Whether the service is able to answer."""

    status: str


_CHALLENGE: Final = {"WWW-Authenticate": {"schema": {"type": "string"}, "required": True}}
IDENTITY: Final = {
    name: {"schema": {"type": "string"}, "required": True, "description": description}
    for name, description in (
        ("X-Auth-Organization", "The organization's id."),
        ("X-Auth-User", "The user's e-mail address, percent-encoded outside printable ASCII."),
        ("X-Auth-Role", "`owner` or `member`."),
        ("X-Auth-Token-Id", "The token's public id."),
        ("X-Auth-Expiry", "When the token expires, empty for never."),
    )
}
_RETRY: Final = {"Retry-After": {"schema": {"type": "integer"}, "required": True}}


def response(model: type[BaseModel] | None, description: str) -> dict[str, Any]:
    """One response of an operation."""
    return {"description": description} if model is None else {"description": description, "model": model}


UNAUTHENTICATED: Final = response(Detail, "No live token.") | {"headers": _CHALLENGE}
FORBIDDEN: Final = response(Detail, "A child token, which is for APIs only.")
THROTTLED: Final = response(Detail, "Too many failed logins.") | {"headers": _RETRY}
TOO_MANY_CHILDREN: Final = response(Detail, "The user has made too many child tokens.") | {"headers": _RETRY}
UNAVAILABLE: Final = response(Detail, "Overloaded, or the database cannot be asked.") | {"headers": _RETRY}
NOT_FOUND: Final = response(Detail, "No such thing, as far as the caller may know.")
TOO_LARGE: Final = response(Detail, "The body is larger than 64 KiB.")
TOO_SLOW: Final = response(Detail, "The body did not arrive in time.")
UNSUPPORTED: Final = response(Detail, "Unsupported media type.")

TOKEN_SECURITY: Final[list[dict[str, list[str]]]] = [{"token": []}]
TOKEN_OR_BASIC_SECURITY: Final[list[dict[str, list[str]]]] = [{"token": []}, {"basic": []}]

# Without a schema: what is unusable counts as not given, and is never refused.
PAGE_PARAMETERS: Final[list[dict[str, Any]]] = [
    {
        "name": "limit",
        "in": "query",
        "description": "How many to show: 1 to 1000, 100 if not given.",
        "schema": {},
        "example": 100,
    },
    {
        "name": "offset",
        "in": "query",
        "description": "How many to pass over: 0 if not given.",
        "schema": {},
        "example": 0,
    },
]
EVENT_PARAMETERS: Final[list[dict[str, Any]]] = [
    {
        "name": "kind",
        "in": "query",
        "description": "Only events of this kind.",
        "schema": {"type": "string", "enum": [kind.value for kind in EventKind]},
    },
    {
        "name": "user",
        "in": "query",
        "description": "Only what was done to the user with this e-mail address, or by them to themselves.",
        "schema": {"type": "string", "maxLength": EMAIL_CHARACTERS_MAX},
    },
    {
        "name": "since",
        "in": "query",
        "description": "Only what happened at this moment or later; without a zone it is in UTC.",
        "schema": {"type": "string", "format": "date-time"},
    },
    {
        "name": "until",
        "in": "query",
        "description": "Only what happened before this moment.",
        "schema": {"type": "string", "format": "date-time"},
    },
]
ORGANIZATION_PARAMETER: Final[dict[str, Any]] = {
    "name": "organization_id",
    "in": "query",
    "description": "With HTTP Basic only, and required there.",
    "schema": {"type": "string"},
}
BASIC_WITHOUT_ORGANIZATION: Final = response(FieldErrors, "HTTP Basic without `organization_id`.")
TOKEN_ID_PARAMETER: Final[dict[str, Any]] = {
    "name": "token_id",
    "in": "path",
    "required": True,
    "schema": {"type": "string"},
}
