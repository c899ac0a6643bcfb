"""Secrets that are no tokens: of links that are used once, and of sessions. How one is made and parsed.

    nlp_ <43 characters> <6 characters>
    |    |               CRC-32 of everything before it, base62
    |    256 random bits, base62
    prefix of its kind, for secret scanners

As with a token, a mistyped one costs no look-up, and what is stored is its SHA-256.
"""

import hashlib
import re
import secrets
from typing import Final, NoReturn

from nightlatch.model.base62 import CHECKSUM_CHARACTERS, base62, checksum

SECRET_BITS: Final = 256
SECRET_CHARACTERS: Final = 43


class Secret:
    """The secret in clear. Shows nothing of it, cannot be pickled, and is never stored."""

    __slots__ = ("_text", "digest")

    def __init__(self, text: str) -> None:
        self._text = text
        self.digest = hashlib.sha256(text.encode("ascii")).digest()

    def reveal(self) -> str:
        """The secret's text, for the one link or cookie that is made of it."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret does not leave the process by pickling")


class SecretKind:
    """What secrets are for: a prefix of three letters and an underscore."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self._pattern = re.compile(rf"{prefix}[0-9A-Za-z]{{{SECRET_CHARACTERS + CHECKSUM_CHARACTERS}}}")

    def generate(self) -> Secret:
        """A new one, from the system's random source."""
        body = self.prefix + base62(secrets.randbits(SECRET_BITS), SECRET_CHARACTERS)
        return Secret(body + checksum(body.encode("ascii")))

    def parse(self, text: str) -> Secret | None:
        """The secret that `text` spells, or None if it cannot be one of this kind. Asks nobody."""
        if self._pattern.fullmatch(text) is None:
            return None
        body, end = text[:-CHECKSUM_CHARACTERS], text[-CHECKSUM_CHARACTERS:]
        return Secret(text) if checksum(body.encode("ascii")) == end else None

    def stands_in(self, text: str) -> bool:
        """Whether the text has what looks like such a secret anywhere in it."""
        return self._pattern.search(text) is not None


PASSWORD_LINK: Final = SecretKind("nlp_")
"""Of a link to set a password."""
INVITATION: Final = SecretKind("nli_")
"""Of a link that makes somebody a member."""
SESSION: Final = SecretKind("nls_")
"""Of a session in a browser; it lives in a cookie."""
