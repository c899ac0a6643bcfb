"""Whether a password is the hashed one, whoever made the hash.

How Unicode is normalised is decision record 0002: NFKC, as NIST SP 800-63B-4 section 3.1.1.2 advises.
"""

import unicodedata
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError, VerifyMismatchError

from nightlatch.guard.django_passwords import django_password_matches, is_django_hash

# The hash has its own parameters; these are for new ones.
_ARGON2: Final = PasswordHasher()


def normalize_password(password: str) -> str:
    """The form of a password that is hashed: NFKC, so that it does not depend on the keyboard."""
    return unicodedata.normalize("NFKC", password)


def password_matches(password: str, password_hash: str) -> bool:
    """Whether the password is the hashed one; takes a hash's time and memory."""
    if is_django_hash(password_hash):
        return django_password_matches(password, password_hash)
    try:
        return _ARGON2.verify(password_hash, normalize_password(password))
    except (VerifyMismatchError, InvalidHashError, Argon2Error):
        return False
