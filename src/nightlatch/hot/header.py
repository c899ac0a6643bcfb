"""Reading an Authorization header, without asking anybody.

White space and the order of checks are those of Django REST framework's token authentication, so
that existing clients get the answers they know; cases.json and the recorded cases hold them.
"""

from dataclasses import dataclass
from enum import Enum

from nightlatch.model.imported import SpelledToken, spell_token


class HeaderFault(Enum):
    """Why a header names no token; the value is the sentence that the client gets."""

    ABSENT = "Authentication credentials were not provided."
    NO_TOKEN = "Invalid token header. No credentials provided."
    SPACES = "Invalid token header. Token string should not contain spaces."
    CHARACTERS = "Invalid token header. Token string should not contain invalid characters."
    INVALID = "Invalid token."


@dataclass(frozen=True, slots=True)
class TokenHeader:
    """A header that spells a token which may or may not exist."""

    token: SpelledToken


def read_token_header(authorization: bytes) -> TokenHeader | HeaderFault:
    """What the header's value says; `authorization` is empty where there is no header."""
    parts = authorization.split()
    if not parts or parts[0].lower() != b"token":
        return HeaderFault.ABSENT
    if len(parts) == 1:
        return HeaderFault.NO_TOKEN
    if len(parts) > 2:
        return HeaderFault.SPACES
    try:
        parts[1].decode()
    except UnicodeDecodeError:
        return HeaderFault.CHARACTERS
    token = spell_token(parts[1])
    return HeaderFault.INVALID if token is None else TokenHeader(token)
