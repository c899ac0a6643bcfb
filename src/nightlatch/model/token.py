"""The token: its format, how one is made, parsed and stored.

    nlt_ 4fTz0aB7Qm2K _ <43 characters> <6 characters>
    |    |              |               CRC-32 of everything before it, base62
    |    |              256 random bits, base62
    |    public id, names the token in lists, logs and headers
    prefix, for secret scanners

A token that is malformed or mistyped fails its checksum and is refused without asking anybody.
What is stored is the SHA-256 of the whole text: with 256 random bits inside, a slow hash or a
salt would add nothing (OWASP ASVS 5.0, 6.5.2 and 11.4).
"""

import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import Final, NoReturn

from nightlatch.model.base62 import CHECKSUM_CHARACTERS, base62, checksum
from nightlatch.model.names import TokenId

PREFIX: Final = "nlt_"
ID_CHARACTERS: Final = 12
SECRET_BITS: Final = 256
SECRET_CHARACTERS: Final = 43
TOKEN_CHARACTERS: Final = len(PREFIX) + ID_CHARACTERS + 1 + SECRET_CHARACTERS + CHECKSUM_CHARACTERS

_TOKEN: Final = re.compile(
    rb"nlt_[0-9A-Za-z]{%d}_[0-9A-Za-z]{%d}" % (ID_CHARACTERS, SECRET_CHARACTERS + CHECKSUM_CHARACTERS)
)


@dataclass(frozen=True, slots=True)
class TokenDigest:
    """What is stored of a token, and what it is looked up by."""

    value: bytes

    def __repr__(self) -> str:
        return "TokenDigest(…)"


class PlainToken:
    """A token in clear. Shows only its public id, cannot be pickled, and is never stored."""

    __slots__ = ("_text", "digest", "id")

    def __init__(self, text: str) -> None:
        self._text = text
        self.id = TokenId(text[len(PREFIX) : len(PREFIX) + ID_CHARACTERS])
        self.digest = TokenDigest(hashlib.sha256(text.encode("ascii")).digest())

    def reveal(self) -> str:
        """The token's text, for the one answer that hands it to the person who logged in."""
        return self._text

    def __repr__(self) -> str:
        return f"PlainToken({self.id})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a token in clear does not leave the process by pickling")


def generate_token_id() -> TokenId:
    """A new public id; it tells nothing of its token."""
    return TokenId(base62(secrets.randbelow(62**ID_CHARACTERS), ID_CHARACTERS))


def generate_token() -> PlainToken:
    """A new token; its id and secret come from the system's random source."""
    token_id = generate_token_id()
    secret = base62(secrets.randbits(SECRET_BITS), SECRET_CHARACTERS)
    body = f"{PREFIX}{token_id}_{secret}"
    return PlainToken(body + checksum(body.encode("ascii")))


def parse_token(text: bytes) -> PlainToken | None:
    """The token that `text` spells, or None if it cannot be one. Asks nobody."""
    if _TOKEN.fullmatch(text) is None:
        return None
    body, end = text[:-CHECKSUM_CHARACTERS], text[-CHECKSUM_CHARACTERS:]
    if checksum(body).encode("ascii") != end:
        return None
    return PlainToken(text.decode("ascii"))
