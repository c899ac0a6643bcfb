"""Links that work once: shown to whoever made them, and opened by whom they are for."""

from dataclasses import dataclass, field
from datetime import datetime

from nightlatch.console.language import Language
from nightlatch.console.views.members import role_name
from nightlatch.console.views.moments import Moment, moment
from nightlatch.model.names import Email, OrganizationId, Role


@dataclass(frozen=True, slots=True)
class IssuedLinkView:
    """The page `issued_link.html`: the one place where the link is shown."""

    title: str
    sentence: str
    email: str
    url: str = field(repr=False)
    expiry: Moment
    was_mailed: bool | None
    """None where the server sends no mail."""


@dataclass(frozen=True, slots=True)
class InvitationView:
    """The page `invitation.html`; its form sends `link` and `password` to /console/invitation/.

    Whether there is an account with that address is not told: an owner has the link, too.
    """

    secret: str = field(repr=False)
    organization_name: str
    organization_id: str
    email: str
    role: str
    length_min: int
    """Of a new password, in characters."""
    problem: str


def invitation_link(
    language: Language,
    email: Email,
    url: str,
    expiry: datetime,
    now: datetime,
    was_mailed: bool | None = None,
) -> IssuedLinkView:
    """After somebody was invited."""
    return IssuedLinkView(
        title=language.gettext("%(email)s is invited", email=email),
        sentence=language.gettext("With this link they become a member of the organization."),
        email=email,
        url=url,
        expiry=moment(language, expiry, now),
        was_mailed=was_mailed,
    )


def password_link(
    language: Language,
    email: Email,
    url: str,
    expiry: datetime,
    now: datetime,
    was_mailed: bool | None = None,
) -> IssuedLinkView:
    """After a link to set a password was made."""
    return IssuedLinkView(
        title=language.gettext("Link for %(email)s", email=email),
        sentence=language.gettext("With this link they set a new password."),
        email=email,
        url=url,
        expiry=moment(language, expiry, now),
        was_mailed=was_mailed,
    )


def invitation_view(
    language: Language,
    secret: str,
    organization_id: OrganizationId,
    organization_name: str,
    email: Email,
    role: Role,
    length_min: int,
    problem: str = "",
) -> InvitationView:
    """What whoever opens the link sees."""
    return InvitationView(
        secret=secret,
        organization_name=organization_name,
        organization_id=organization_id,
        email=email,
        role=role_name(language, role),
        length_min=length_min,
        problem=problem,
    )
