"""The secret of a link to set a password: its format, how one is made, parsed and stored.

    nlp_ <43 characters> <6 characters>
    |    |               CRC-32 of everything before it, base62
    |    256 random bits, base62
    prefix, for secret scanners

As with a token, a mistyped one costs no look-up, and what is stored is its SHA-256.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NoReturn

from nightlatch.model.base62 import CHECKSUM_CHARACTERS, base62, checksum
from nightlatch.model.names import Email

PREFIX: Final = "nlp_"
SECRET_BITS: Final = 256
SECRET_CHARACTERS: Final = 43
VALID_SECONDS_DEFAULT: Final = 24 * 3600
VALID_SECONDS_MAX: Final = 30 * 24 * 3600

_SECRET: Final = re.compile(rf"nlp_[0-9A-Za-z]{{{SECRET_CHARACTERS + CHECKSUM_CHARACTERS}}}")


class LinkSecret:
    """The secret in clear. Shows nothing of it, cannot be pickled, and is never stored."""

    __slots__ = ("_text", "digest")

    def __init__(self, text: str) -> None:
        self._text = text
        self.digest = hashlib.sha256(text.encode("ascii")).digest()

    def reveal(self) -> str:
        """The secret's text, for the one link that is made of it."""
        return self._text

    def __repr__(self) -> str:
        return "LinkSecret(…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("the secret of a link does not leave the process by pickling")


def generate_link_secret() -> LinkSecret:
    """A new one, from the system's random source."""
    body = PREFIX + base62(secrets.randbits(SECRET_BITS), SECRET_CHARACTERS)
    return LinkSecret(body + checksum(body.encode("ascii")))


def parse_link_secret(text: str) -> LinkSecret | None:
    """The secret that `text` spells, or None if it cannot be one. Asks nobody."""
    if _SECRET.fullmatch(text) is None:
        return None
    body, end = text[:-CHECKSUM_CHARACTERS], text[-CHECKSUM_CHARACTERS:]
    return LinkSecret(text) if checksum(body.encode("ascii")) == end else None


def holds_link_secret(text: str) -> bool:
    """Whether the text has what looks like such a secret anywhere in it."""
    return _SECRET.search(text) is not None


@dataclass(frozen=True, slots=True)
class IssuedLink:
    """A link just made: the only value that holds its secret, with whom it is for and its end."""

    secret: LinkSecret
    email: Email
    expiry: datetime
