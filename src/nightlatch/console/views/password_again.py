"""Asking for the password again, where it was last shown too long ago."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from nightlatch.model.session import Session

CONFIRMED_FOR: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class PasswordAgain:
    """Whether a form asks for the password, in its field `current_password`; `problem` is a sentence."""

    is_needed: bool
    problem: str = ""


def password_again(session: Session, problem: str = "") -> PasswordAgain:
    """What a form that does something sensitive asks in this session (OWASP ASVS 5.0, 7.5.1)."""
    return PasswordAgain(session.now - session.confirmed > CONFIRMED_FOR, problem)
