"""Ids and names: distinct types, and the one way text from outside becomes one of them."""

import re
import secrets
import string
import unicodedata
from enum import StrEnum
from typing import NewType

from nightlatch.model.errors import InvalidValue

OrganizationId = NewType("OrganizationId", str)
UserId = NewType("UserId", int)
TokenId = NewType("TokenId", str)
Email = NewType("Email", str)

EMAIL_CHARACTERS_MAX = 254
ORGANIZATION_NAME_CHARACTERS_MAX = 200
TOKEN_NAME_CHARACTERS_MAX = 100

_TOKEN_ID = re.compile(r"[0-9A-Za-z]{12}")
_ORGANIZATION_ID = re.compile(r"[a-z0-9]{2,32}")
_GENERATED_CHARACTERS = string.ascii_lowercase + string.digits
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


class Role(StrEnum):
    """What a member may do: an owner acts for the whole organization, a member for themselves."""

    OWNER = "owner"
    MEMBER = "member"


class LimitPolicy(StrEnum):
    """What a login does that meets the token limit."""

    REFUSE = "refuse"
    REPLACE_OLDEST = "replace_oldest"
    REPLACE_LEAST_RECENTLY_USED = "replace_least_recently_used"


def normalize_email(text: str) -> Email:
    """The form in which an e-mail address is stored and looked up; any text is accepted."""
    return Email(unicodedata.normalize("NFC", text.strip()).lower())


def parse_email(text: str) -> Email:
    """An e-mail address fit to be stored; raises InvalidValue('email')."""
    email = normalize_email(text)
    if len(email) > EMAIL_CHARACTERS_MAX or not email.isprintable() or _EMAIL.fullmatch(email) is None:
        raise InvalidValue(
            "email",
            f"'{_printable(text)}' is not an e-mail address: expected name@host, "
            f"at most {EMAIL_CHARACTERS_MAX} characters.",
        )
    return email


def parse_organization_id(text: str) -> OrganizationId:
    """An organization id fit to be stored; raises InvalidValue('id')."""
    if not is_organization_id(text):
        raise InvalidValue(
            "id",
            f"'{_printable(text)}' is not an organization id: "
            "2 to 32 lower-case letters and digits, for example auhf2k.",
        )
    return OrganizationId(text)


def is_organization_id(text: str) -> bool:
    """Whether the text could be one."""
    return _ORGANIZATION_ID.fullmatch(text) is not None


def is_token_id(text: str) -> bool:
    """Whether the text could be a token's public id."""
    return _TOKEN_ID.fullmatch(text) is not None


def generate_organization_id() -> OrganizationId:
    """A new random organization id of six characters."""
    return OrganizationId("".join(secrets.choice(_GENERATED_CHARACTERS) for _ in range(6)))


def parse_organization_name(text: str) -> str:
    """A display name fit to be stored; raises InvalidValue('name')."""
    name = text.strip()
    if not name or len(name) > ORGANIZATION_NAME_CHARACTERS_MAX or not name.isprintable():
        raise InvalidValue(
            "name",
            f"An organization's name has 1 to {ORGANIZATION_NAME_CHARACTERS_MAX} printable characters.",
        )
    return name


def parse_token_name(text: str) -> str:
    """A label fit to be stored, which may be empty; raises InvalidValue('name')."""
    name = text.strip()
    if len(name) > TOKEN_NAME_CHARACTERS_MAX or not name.isprintable():
        raise InvalidValue(
            "name", f"A token's name has at most {TOKEN_NAME_CHARACTERS_MAX} printable characters."
        )
    return name


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text[:80])
