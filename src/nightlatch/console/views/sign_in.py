"""The page to sign in."""

from dataclasses import dataclass
from enum import StrEnum


class SignInNotice(StrEnum):
    """Why somebody sees the page."""

    NONE = ""
    SIGNED_OUT = "signed_out"
    ENDED = "ended"
    """The session has expired, or was ended elsewhere."""
    PASSWORD_SET = "password_set"
    JOINED = "joined"
    """An invitation was accepted."""


@dataclass(frozen=True, slots=True)
class RememberedOrganization:
    """An organization that this browser has been signed in to."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class SignIn:
    """The page `sign_in.html`.

    The form sends username, password, next, and the organization: `organization_id`, or where this is empty
    (another than those remembered) `other_organization_id`. `problem` is a sentence.
    """

    username: str = ""
    organization_id: str = ""
    remembered: tuple[RememberedOrganization, ...] = ()
    problem: str = ""
    next: str = ""
    notice: SignInNotice = SignInNotice.NONE

    @property
    def is_remembered(self) -> bool:
        """Whether the organization is one of those in the list."""
        return any(each.id == self.organization_id for each in self.remembered)
