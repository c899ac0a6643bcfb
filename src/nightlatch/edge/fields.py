"""The fields of a login and of a new password, checked as Django REST framework's serializers check.

In their words, too.
"""

import re
from collections.abc import Callable
from ipaddress import ip_network
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema
from pydantic_core import PydanticCustomError

from nightlatch.edge.answers import Answer
from nightlatch.edge.body import Body
from nightlatch.model.names import TOKEN_NAME_CHARACTERS_MAX
from nightlatch.model.scope import METHODS, Network, Scope, is_plain_path

_INTEGER_CHARACTERS_MAX: Final = 1000
_DECIMALS: Final = re.compile(r"\.0*\s*$")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
SCOPE_ITEMS_MAX: Final = 20
"""In each list of a scope: it is asked for each request, and read with each token."""
PATH_CHARACTERS_MAX: Final = 200
PATHS_CHARACTERS_MAX: Final = 1000
ORIGIN_CHARACTERS_MAX: Final = 255
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_DEFAULT_PORT: Final = re.compile(r"http://.*:80|https://.*:443")


def _reject(*messages: str) -> PydanticCustomError:
    return PydanticCustomError("field", "{messages}", {"messages": list(messages)})


def _text(value: Any, *, trim: bool, characters_max: int | None = None) -> str:
    if value is None:
        raise _reject("This field may not be null.")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _reject("Not a valid string.")
    try:
        text = str(value)
    except ValueError:  # an integer of more digits than Python writes out
        raise _reject("Not a valid string.") from None
    if trim:
        text = text.strip()
    if text == "":
        raise _reject("This field may not be blank.")
    messages = []
    if characters_max is not None and len(text) > characters_max:
        messages.append(f"Ensure this field has no more than {characters_max} characters.")
    if "\x00" in text:
        messages.append("Null characters are not allowed.")
    if surrogate := _SURROGATE.search(text):
        messages.append(f"Surrogate characters are not allowed: U+{ord(surrogate.group()):X}.")
    if messages:
        raise _reject(*messages)
    return text


def _trimmed(value: Any) -> str:
    return _text(value, trim=True)


def _verbatim(value: Any) -> str:
    return _text(value, trim=False)


def _label(value: Any) -> str:
    return _text(value, trim=True, characters_max=TOKEN_NAME_CHARACTERS_MAX)


def _seconds(value: Any) -> int:
    if value is None:
        raise _reject("This field may not be null.")
    if isinstance(value, str) and len(value) > _INTEGER_CHARACTERS_MAX:
        raise _reject("String value too large.")
    try:
        seconds = int(_DECIMALS.sub("", str(value)))
    except (ValueError, TypeError):
        raise _reject("A valid integer is required.") from None
    if seconds < 1:
        raise _reject("Ensure this value is greater than or equal to 1.")
    return seconds


def _list(value: Any, read: Callable[[str], str | None]) -> list[str]:
    """A list of texts, of which `read` tells what is wrong with one."""
    if not isinstance(value, list):
        raise _reject(f'Expected a list of items but got type "{type(value).__name__}".')
    if not value:
        raise _reject("This list may not be empty.")
    if len(value) > SCOPE_ITEMS_MAX:
        raise _reject(f"Ensure this field has no more than {SCOPE_ITEMS_MAX} elements.")
    if not all(isinstance(item, str) for item in value):
        raise _reject("Not a valid string.")
    messages = [message for item in value if (message := read(item)) is not None]
    if messages:
        raise _reject(*messages)
    return list(dict.fromkeys(value))


def _shown(text: str) -> str:
    """What was sent, as far as it can be repeated in a sentence."""
    return "".join(character if character.isprintable() else "?" for character in text[:PATH_CHARACTERS_MAX])


def _methods(value: Any) -> list[str]:
    def wrong(item: str) -> str | None:
        return None if item in METHODS else f'"{_shown(item)}" is none of {", ".join(METHODS)}.'

    return _list(value, wrong)


def _paths(value: Any) -> list[str]:
    def wrong(item: str) -> str | None:
        if len(item) > PATH_CHARACTERS_MAX:
            return f"Ensure this field has no more than {PATH_CHARACTERS_MAX} characters."
        if not item.startswith("/"):
            return f'"{_shown(item)}" does not begin with a slash.'
        if not is_plain_path(item):
            return (
                f'"{_shown(item)}" can be read in more than one way: no query, no //, no segment that begins '
                "with a dot, no ; or \\, and what is no letter, digit or one of -._~!$&'()*+,=:@ is "
                "percent-encoded."
            )
        return None

    paths = _list(value, wrong)
    if sum(map(len, paths)) > PATHS_CHARACTERS_MAX:
        raise _reject(f"Ensure all together have no more than {PATHS_CHARACTERS_MAX} characters.")
    return paths


def _origin(value: Any) -> str:
    if value is None:
        raise _reject("This field may not be null.")
    if not isinstance(value, str):
        raise _reject("Not a valid string.")
    is_origin = len(value) <= ORIGIN_CHARACTERS_MAX and _ORIGIN.fullmatch(value) is not None
    if not is_origin or _DEFAULT_PORT.fullmatch(value) is not None:
        raise _reject(
            "An origin is written as browsers send it: https://app.example.com, or with a port that is not "
            "the scheme's own; in lower case, without a path."
        )
    return value


def _networks(value: Any) -> tuple[Network, ...]:
    def wrong(item: str) -> str | None:
        try:
            ip_network(item)
        except ValueError:
            return f'"{_shown(item)}" is no address and no network such as 192.0.2.0/24 or 2001:db8::/32.'
        # A zone means something on one machine only.
        return f'"{_shown(item)}" has a zone.' if "%" in item else None

    return tuple(ip_network(item) for item in _list(value, wrong))


def _documented(schema: dict[str, Any]) -> WithJsonSchema:
    return WithJsonSchema(schema)


class LoginFields(BaseModel):
    """What a login is made of. Unknown fields are ignored and change nothing."""

    model_config = ConfigDict(title="Login", hide_input_in_errors=True)

    username: Annotated[
        str,
        BeforeValidator(_trimmed),
        _documented({"type": "string", "format": "email", "minLength": 1, "description": "E-mail address."}),
    ]
    password: Annotated[
        str,
        BeforeValidator(_verbatim),
        _documented({"type": "string", "format": "password", "minLength": 1}),
    ] = Field(repr=False)
    organization_id: Annotated[
        str,
        BeforeValidator(_trimmed),
        _documented({"type": "string", "minLength": 1, "examples": ["auhf2k"]}),
    ]
    name: Annotated[
        str,
        BeforeValidator(_label),
        _documented(
            {
                "type": "string",
                "minLength": 1,
                "maxLength": TOKEN_NAME_CHARACTERS_MAX,
                "description": "A label by which the token is recognized in lists.",
            }
        ),
    ] = ""
    time_to_live: Annotated[
        int | None,
        BeforeValidator(_seconds),
        _documented(
            {
                "type": "integer",
                "minimum": 1,
                "description": "Seconds until the token expires; at most, and by default, what the "
                "organization allows.",
            }
        ),
    ] = None


class NewPasswordFields(BaseModel):
    """A link to set a password, and the password. Unknown fields are ignored and change nothing."""

    model_config = ConfigDict(title="NewPassword", hide_input_in_errors=True)

    link: Annotated[
        str,
        BeforeValidator(_trimmed),
        _documented({"type": "string", "minLength": 1, "description": "What follows `link=`."}),
    ] = Field(repr=False)
    password: Annotated[
        str,
        BeforeValidator(_verbatim),
        _documented({"type": "string", "format": "password", "minLength": 1}),
    ] = Field(repr=False)


class ChildTokenFields(BaseModel):
    """What a child token is limited to. `read_child_token` refuses fields that are not known."""

    model_config = ConfigDict(
        title="ChildToken", hide_input_in_errors=True, extra="forbid", arbitrary_types_allowed=True
    )

    methods: Annotated[
        list[str],
        BeforeValidator(_methods),
        _documented(
            {
                "type": "array",
                "items": {"type": "string", "enum": list(METHODS)},
                "minItems": 1,
                "maxItems": SCOPE_ITEMS_MAX,
                "description": "None implies another: GET does not allow HEAD.",
            }
        ),
    ]
    paths: Annotated[
        list[str],
        BeforeValidator(_paths),
        _documented(
            {
                "type": "array",
                "items": {"type": "string", "maxLength": PATH_CHARACTERS_MAX, "pattern": "^/"},
                "minItems": 1,
                "maxItems": SCOPE_ITEMS_MAX,
                "examples": [["/api/v1/auhf2k/uploads"]],
                "description": "Each allows itself and what is below it, by whole segments; one that ends "
                "in a slash only what is below it.",
            }
        ),
    ]
    origin: Annotated[
        str | None,
        BeforeValidator(_origin),
        _documented(
            {
                "type": "string",
                "maxLength": ORIGIN_CHARACTERS_MAX,
                "examples": ["https://app.example.com"],
                "description": "Only requests with this Origin header.",
            }
        ),
    ] = None
    addresses: Annotated[
        tuple[Network, ...] | None,
        BeforeValidator(_networks),
        _documented(
            {
                "type": "array",
                "items": {"type": "string"},
                "minItems": 1,
                "maxItems": SCOPE_ITEMS_MAX,
                "examples": [["192.0.2.0/24"]],
                "description": "Only clients with these addresses or in these networks.",
            }
        ),
    ] = None
    time_to_live: Annotated[
        int | None,
        BeforeValidator(_seconds),
        _documented(
            {
                "type": "integer",
                "minimum": 1,
                "description": "Seconds until it expires; at most, and by default, what the organization "
                "allows, and never beyond the token it is made with.",
            }
        ),
    ] = None
    name: Annotated[
        str,
        BeforeValidator(_label),
        _documented({"type": "string", "minLength": 1, "maxLength": TOKEN_NAME_CHARACTERS_MAX}),
    ] = ""

    @property
    def scope(self) -> Scope:
        """What the token is limited to."""
        return Scope(frozenset(self.methods), tuple(self.paths), self.origin, self.addresses)


_OPTIONAL: Final = ("name", "time_to_live")

_Fields = TypeVar("_Fields", bound=BaseModel)


def read_login(body: Body) -> LoginFields:
    """The login that a body asks for; raises the Answer 400 with every field's errors."""
    return _read(body, LoginFields)


def read_new_password(body: Body) -> NewPasswordFields:
    """The link and the password that a body holds; raises the Answer 400 with every field's errors."""
    return _read(body, NewPasswordFields)


def read_child_token(data: Any) -> ChildTokenFields:
    """The child token that a body asks for; raises the Answer 400 with every field's errors.

    A field that is not known is an error: it may be a limit, mistyped, that would be ignored.
    """
    if not isinstance(data, dict):
        return _read(Body(data, is_form=False), ChildTokenFields)
    known = {name: value for name, value in data.items() if name in ChildTokenFields.model_fields}
    names = ", ".join(ChildTokenFields.model_fields)
    errors = {
        _shown(name): [f"There is no such field. There are: {names}."] for name in data if name not in known
    }
    try:
        fields = _read(Body(known, is_form=False), ChildTokenFields)
    except Answer as wrong:
        raise Answer(400, {**wrong.body, **errors}) from None
    if errors:
        raise Answer(400, errors)
    return fields


def _read(body: Body, fields: type[_Fields]) -> _Fields:
    data = body.data
    if data is None:
        raise Answer(400, {"non_field_errors": ["No data provided"]})
    if not isinstance(data, dict):
        kind = type(data).__name__
        raise Answer(400, {"non_field_errors": [f"Invalid data. Expected a dictionary, but got {kind}."]})
    if body.is_form:
        data = {name: value for name, value in data.items() if not (name in _OPTIONAL and value == "")}
    try:
        return fields.model_validate(data)
    except ValidationError as error:
        raise Answer(400, _messages(error)) from None


def _messages(error: ValidationError) -> dict[str, list[str]]:
    messages: dict[str, list[str]] = {}
    for problem in error.errors(include_url=False, include_input=False):
        field = str(problem["loc"][0])
        if problem["type"] == "missing":
            messages[field] = ["This field is required."]
        else:
            messages[field] = problem["ctx"]["messages"]
    return messages
