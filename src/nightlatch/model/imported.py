"""Tokens that another service gave out, and that go on working here after an import.

Of such a token only the digest was imported. Its text tells neither who made it nor how it was hashed, so
that a process keeps a short list of kinds, of what has ever been imported. Text of none of these kinds is
refused without asking anybody, as a mistyped token of our own is: where nothing was imported, that is all
of it.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final, NoReturn

from nightlatch.model.token import PlainToken, TokenDigest, parse_token

PREFIX_CHARACTERS_MAX: Final = 10
"""As much as django-rest-knox allows."""
HEX_CHARACTERS_MIN: Final = 32
"""128 random bits: a token that can be guessed is not taken over."""
HEX_CHARACTERS_MAX: Final = 128

_FORM: Final = re.compile(
    rb"[!-~]{0,%d}[0-9a-f]{%d,%d}" % (PREFIX_CHARACTERS_MAX, HEX_CHARACTERS_MIN, HEX_CHARACTERS_MAX)
)
_HEX: Final = re.compile(rb"[0-9a-f]+")
_NUMBER: Final = re.compile(r"[0-9]{1,3}")
_PREFIX: Final = re.compile(rf"[!-~]{{0,{PREFIX_CHARACTERS_MAX}}}")


class Algorithm(StrEnum):
    """What a digest of 64 bytes was made of."""

    TEXT = "sha512_text"
    """SHA-512 of the token's text: django-rest-knox 5, and the clear keys of Django REST framework."""
    HEX = "sha512_hex"
    """SHA-512 of the bytes that the text spells: django-rest-knox 4.2."""


@dataclass(frozen=True, slots=True)
class ImportedKind:
    """Tokens of one make: `characters` of hexadecimal digits after a prefix, which may be empty."""

    algorithm: Algorithm
    prefix: str
    characters: int

    def fits(self, text: bytes) -> bool:
        """Whether the text could be such a token."""
        prefix = self.prefix.encode("ascii")
        return (
            len(text) == len(prefix) + self.characters
            and text.startswith(prefix)
            and _HEX.fullmatch(text, len(prefix)) is not None
        )


def is_prefix(text: str) -> bool:
    """Whether tokens that begin with the text can be imported."""
    return _PREFIX.fullmatch(text) is not None


@lru_cache(8)
def read_kinds(text: str | None) -> tuple[ImportedKind, ...]:
    """The kinds that the change feed names: one a line, as algorithm, characters and prefix.

    Those that cannot be read, such as a newer version's, are passed over: tokens of them are refused.
    """
    kinds = (_read_kind(line) for line in (text or "").split("\n"))
    return tuple(kind for kind in kinds if kind is not None)


def _read_kind(line: str) -> ImportedKind | None:
    algorithm, _, rest = line.partition(" ")
    characters, _, prefix = rest.partition(" ")
    if algorithm not in tuple(Algorithm) or not is_prefix(prefix) or not _NUMBER.fullmatch(characters):
        return None
    kind = ImportedKind(Algorithm(algorithm), prefix, int(characters))
    in_bounds = HEX_CHARACTERS_MIN <= kind.characters <= HEX_CHARACTERS_MAX and kind.characters % 2 == 0
    # What spells bytes has no prefix: knox has had prefixes only since it hashes the text.
    return kind if in_bounds and not (kind.algorithm is Algorithm.HEX and prefix) else None


def imported_digest(algorithm: Algorithm, text: bytes) -> TokenDigest:
    """What is stored of a token of that make; the text is hexadecimal where the algorithm wants it."""
    made_of = bytes.fromhex(text.decode("ascii")) if algorithm is Algorithm.HEX else text
    return TokenDigest(hashlib.sha512(made_of).digest())


class ImportedToken:
    """Text of the form of an imported token. Shows nothing of itself, and cannot be pickled."""

    __slots__ = ("_text",)

    def __init__(self, text: bytes) -> None:
        self._text = text

    def digests(self, kinds: Sequence[ImportedKind]) -> tuple[TokenDigest, ...]:
        """What would be stored of it, by each make that it can be of; empty: it is none of these kinds."""
        algorithms = {kind.algorithm for kind in kinds if kind.fits(self._text)}
        return tuple(imported_digest(algorithm, self._text) for algorithm in sorted(algorithms))

    def __repr__(self) -> str:
        return "ImportedToken(…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a token in clear does not leave the process by pickling")


SpelledToken = PlainToken | ImportedToken


def spell_token(text: bytes) -> SpelledToken | None:
    """The token that the text spells, ours or one that may have been imported. Asks nobody."""
    token = parse_token(text)
    if token is None and _FORM.fullmatch(text) is not None:
        return ImportedToken(text)
    return token
