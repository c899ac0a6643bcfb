"""Password hashes as Django writes them: checked as they are, and replaced at the next login.

The first part names the algorithm, and the rest is as it has it:

    pbkdf2_sha256$iterations$salt$base64        bcrypt$$2b$cost$…          bcrypt_sha256$$2b$cost$…
    pbkdf2_sha1$iterations$salt$base64          argon2$argon2id$v=…$…      scrypt$n$salt$r$p$base64

What a check may cost is bounded: whoever wrote the source's database must not decide for how long every
login with that name keeps a thread busy.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable
from typing import Final

import bcrypt
from argon2 import PasswordHasher, Type, extract_parameters
from argon2.exceptions import Argon2Error, InvalidHashError, VerifyMismatchError

ITERATIONS_MAX: Final = 5_000_000
"""Four times what Django 6 sets: about a second."""
BCRYPT_COST_MAX: Final = 15
MEMORY_BYTES_MAX: Final = 256 * 1024 * 1024
ARGON2_PASSES_MAX: Final = 10
PARALLELISM_MAX: Final = 16
CHARACTERS_MAX: Final = 512
DIGEST_BYTES_MIN: Final = 16
"""A shorter digest than this is met by chance."""
_BCRYPT_BYTES: Final = 72
"""What bcrypt reads of a password; libraries of before cut it there, without a word."""
_PBKDF2_BYTES: Final = {"pbkdf2_sha256": 32, "pbkdf2_sha1": 20}

_argon2 = PasswordHasher()


def django_hash_fault(text: str) -> str | None:
    """Why the hash cannot be taken over, in a few words; None if it can."""
    check = _CHECKS.get(text.partition("$")[0])
    if check is None:
        return "unknown algorithm"
    if len(text) > CHARACTERS_MAX or not text.isascii():
        return "malformed"
    try:
        return check(text.split("$"))
    except (ValueError, IndexError, InvalidHashError):
        return "malformed"


def is_django_hash(text: str) -> bool:
    """Whether the hash is one of Django's; our own begin with a dollar sign."""
    return text.partition("$")[0] in _CHECKS


def is_partly_checked(password: str, text: str) -> bool:
    """Whether the hash says nothing of the password's end: then it must not become the hash of all of it."""
    too_long = len(password.encode("utf-8", "surrogatepass")) > _BCRYPT_BYTES
    return too_long and text.partition("$")[0] == "bcrypt"


def django_password_matches(password: str, text: str) -> bool:
    """Whether the password is the hashed one; False also for a hash that cannot be taken over.

    The password is hashed as it was sent: Django normalizes no Unicode.
    """
    if django_hash_fault(text) is not None:
        return False
    try:
        return _VERIFY[text.partition("$")[0]](password.encode("utf-8", "surrogatepass"), text.split("$"))
    except (ValueError, Argon2Error, InvalidHashError, VerifyMismatchError):
        return False


def _check_pbkdf2(parts: list[str]) -> str | None:
    name, iterations, salt, digest = parts
    if not salt or len(_decoded(digest)) != _PBKDF2_BYTES[name]:
        return "malformed"
    return None if 1 <= int(iterations) <= ITERATIONS_MAX else "too many iterations"


def _check_bcrypt(parts: list[str]) -> str | None:
    _, empty, variant, cost, rest = parts
    if empty or variant not in ("2a", "2b", "2y") or len(rest) != 53:
        return "malformed"
    return None if 4 <= int(cost) <= BCRYPT_COST_MAX else "too high a cost"


def _check_argon2(parts: list[str]) -> str | None:
    parameters = extract_parameters("$" + "$".join(parts[1:]))
    if parameters.type not in (Type.ID, Type.I, Type.D) or parameters.hash_len < DIGEST_BYTES_MIN:
        return "malformed"
    if (
        parameters.memory_cost * 1024 > MEMORY_BYTES_MAX
        or parameters.time_cost > ARGON2_PASSES_MAX
        or parameters.parallelism > PARALLELISM_MAX
    ):
        return "too high a cost"
    return None


def _check_scrypt(parts: list[str]) -> str | None:
    _, n, salt, r, p, digest = parts
    if not salt or len(_decoded(digest)) < DIGEST_BYTES_MIN:
        return "malformed"
    if int(n) < 2 or int(n) & (int(n) - 1) or int(r) < 1 or int(p) < 1:
        return "malformed"
    # Each of p passes, one after the other, goes over 128 × n × r bytes.
    if 128 * int(n) * int(r) * int(p) > MEMORY_BYTES_MAX or int(p) > PARALLELISM_MAX:
        return "too high a cost"
    return None


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""


def _pbkdf2(password: bytes, parts: list[str]) -> bool:
    name, iterations, salt, digest = parts
    algorithm = name.removeprefix("pbkdf2_")
    found = hashlib.pbkdf2_hmac(algorithm, password, salt.encode("ascii"), int(iterations))
    return hmac.compare_digest(found, _decoded(digest))


def _bcrypt(password: bytes, parts: list[str]) -> bool:
    if parts[0] == "bcrypt_sha256":
        password = hashlib.sha256(password).hexdigest().encode("ascii")
    return bcrypt.checkpw(password[:_BCRYPT_BYTES], "$".join(parts[1:]).encode("ascii"))


def _verify_argon2(password: bytes, parts: list[str]) -> bool:
    return _argon2.verify("$" + "$".join(parts[1:]), password)


def _scrypt(password: bytes, parts: list[str]) -> bool:
    _, n, salt, r, p, digest = parts
    expected = _decoded(digest)
    found = hashlib.scrypt(
        password,
        salt=salt.encode("ascii"),
        n=int(n),
        r=int(r),
        p=int(p),
        maxmem=2 * MEMORY_BYTES_MAX,
        dklen=len(expected),
    )
    return hmac.compare_digest(found, expected)


_CHECKS: Final[dict[str, Callable[[list[str]], str | None]]] = {
    "pbkdf2_sha256": _check_pbkdf2,
    "pbkdf2_sha1": _check_pbkdf2,
    "bcrypt": _check_bcrypt,
    "bcrypt_sha256": _check_bcrypt,
    "argon2": _check_argon2,
    "scrypt": _check_scrypt,
}
_VERIFY: Final[dict[str, Callable[[bytes, list[str]], bool]]] = {
    "pbkdf2_sha256": _pbkdf2,
    "pbkdf2_sha1": _pbkdf2,
    "bcrypt": _bcrypt,
    "bcrypt_sha256": _bcrypt,
    "argon2": _verify_argon2,
    "scrypt": _scrypt,
}
