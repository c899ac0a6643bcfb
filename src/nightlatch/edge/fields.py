"""The fields of a login and of a new password, checked as Django REST framework's serializers check.

In their words, too.
"""

import re
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema
from pydantic_core import PydanticCustomError

from nightlatch.edge.answers import Answer
from nightlatch.edge.body import Body
from nightlatch.model.names import TOKEN_NAME_CHARACTERS_MAX

_INTEGER_CHARACTERS_MAX: Final = 1000
_DECIMALS: Final = re.compile(r"\.0*\s*$")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


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


_OPTIONAL: Final = ("name", "time_to_live")

_Fields = TypeVar("_Fields", bound=BaseModel)


def read_login(body: Body) -> LoginFields:
    """The login that a body asks for; raises the Answer 400 with every field's errors."""
    return _read(body, LoginFields)


def read_new_password(body: Body) -> NewPasswordFields:
    """The link and the password that a body holds; raises the Answer 400 with every field's errors."""
    return _read(body, NewPasswordFields)


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
