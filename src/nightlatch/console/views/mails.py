"""Mails with a link that works once: plain text, the link on a line of its own."""

import textwrap
from datetime import datetime

from nightlatch.console.language import Language
from nightlatch.console.views.moments import duration, moment
from nightlatch.model.invitation import VALID_SECONDS, IssuedInvitation
from nightlatch.model.mail import Mail
from nightlatch.model.names import Role
from nightlatch.model.password_link import VALID_SECONDS_DEFAULT, IssuedLink
from nightlatch.model.plain_text import printable
from nightlatch.model.session import Session

_WIDTH = 72


def invitation_mail(language: Language, session: Session, invited: IssuedInvitation, url: str) -> Mail:
    """To somebody whom the session's owner has invited."""
    _ = language.gettext
    names = _names(session)
    if invited.role is Role.OWNER:
        says = _("%(owner)s invites you to become an owner of “%(organization)s” (%(id)s).", **names)
    else:
        says = _("%(owner)s invites you to become a member of “%(organization)s” (%(id)s).", **names)
    return Mail(
        session.identity.organization_id,
        invited.email,
        _("Invitation to %(organization)s", **names),
        _text(
            says,
            _("To accept, open this link:"),
            url,
            _validity(language, VALID_SECONDS, invited.expiry, session.now),
            _("Hand it to nobody: whoever has it can use it."),
            _(
                "If you did not expect this, or do not know %(owner)s, delete this mail. "
                "Nothing happens unless the link is used.",
                **names,
            ),
        ),
    )


def password_mail(language: Language, session: Session, issued: IssuedLink, url: str) -> Mail:
    """To a member for whom the session's owner has made a link to set a password."""
    _ = language.gettext
    names = _names(session)
    return Mail(
        session.identity.organization_id,
        issued.email,
        _("Set a new password for %(organization)s", **names),
        _text(
            _(
                "%(owner)s, an owner of “%(organization)s” (%(id)s), has made a link for you to set a new "
                "password with.",
                **names,
            ),
            _("To choose one, open this link:"),
            url,
            _validity(language, VALID_SECONDS_DEFAULT, issued.expiry, session.now),
            _("Hand it to nobody: whoever has it can use it."),
            _(
                "If you did not expect this, do not open the link, and ask %(owner)s. "
                "Your password stays as it is unless the link is used.",
                **names,
            ),
        ),
    )


def _names(session: Session) -> dict[str, str]:
    return {
        "owner": printable(session.identity.email),
        "organization": printable(session.organization_name),
        "id": session.identity.organization_id,
    }


def _validity(language: Language, seconds: int, expiry: datetime, now: datetime) -> str:
    return language.gettext(
        "It works once, and for %(duration)s: until %(expiry)s.",
        duration=duration(language, seconds),
        expiry=moment(language, expiry, now).exact,
    )


def _text(*paragraphs: str) -> str:
    wrapped = (
        textwrap.fill(paragraph, _WIDTH, break_long_words=False, break_on_hyphens=False)
        for paragraph in paragraphs
    )
    return "\n\n".join(wrapped) + "\n"
