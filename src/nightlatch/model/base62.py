"""How random numbers are written in secrets, and the checksum that finds a mistyped one."""

import zlib
from typing import Final

CHECKSUM_CHARACTERS: Final = 6

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def base62(number: int, width: int) -> str:
    """The number in so many letters and digits: one double-click selects them all."""
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))


def checksum(body: bytes) -> str:
    """CRC-32 of the bytes in six letters and digits: no protection, but a mistake costs no look-up."""
    return base62(zlib.crc32(body), CHECKSUM_CHARACTERS)
