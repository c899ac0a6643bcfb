"""Pages that say one thing: that something was refused, is not there, or does not work at the moment."""

import re
from dataclasses import dataclass
from typing import Final

from nightlatch.console.language import Language
from nightlatch.model.errors import (
    CredentialsRejected,
    Forbidden,
    LastOwner,
    NightlatchError,
    NotFound,
    Throttled,
    TokenLimitReached,
    Unavailable,
)


@dataclass(frozen=True, slots=True)
class Message:
    """The page `message.html`; `link_url` may be empty."""

    title: str
    sentences: tuple[str, ...]
    link_url: str = ""
    link_label: str = ""


_HOME: Final = "/console/"


def forbidden(language: Language) -> Message:
    """403: a member on an owner's page."""
    _ = language.gettext
    return Message(
        _("Only owners see this page"),
        (_("You are a member of this organization. Ask one of its owners, or to be made one."),),
        _HOME,
        _("To your tokens"),
    )


def not_found(language: Language) -> Message:
    """404."""
    _ = language.gettext
    return Message(
        _("There is no such page"),
        (_("It may have been removed, or the address has a mistake in it."),),
        _HOME,
        _("To the console"),
    )


def gone(language: Language, url: str, label: str) -> Message:
    """404: a member, a token or an invitation that is not there any more."""
    _ = language.gettext
    return Message(
        _("It is not there any more"),
        (_("Somebody else may have changed it in the meantime."),),
        url,
        label,
    )


def dead_link(language: Language) -> Message:
    """404: an invitation that was used, withdrawn or has expired."""
    _ = language.gettext
    return Message(
        _("This invitation does not work"),
        (_("It was used, has expired or was withdrawn. Ask an owner of the organization for a new one."),),
        _HOME,
        _("Sign in"),
    )


def unavailable(language: Language) -> Message:
    """503."""
    _ = language.gettext
    return Message(
        _("Not possible at the moment"),
        (
            _("The database does not answer, or there is too much to do. Wait a moment, and try again."),
            _("If you were ending or making something, look first whether it has happened."),
        ),
        _HOME,
        _("Try again"),
    )


def failed(language: Language, request_id: str) -> Message:
    """500."""
    _ = language.gettext
    return Message(
        _("Something went wrong"),
        (
            _("It is a mistake in this server. Nothing half-done is kept."),
            _("Whoever runs it finds the reason in the log under %(request)s.", request=request_id),
        ),
        _HOME,
        _("To the console"),
    )


def other_site(language: Language) -> Message:
    """403: another site has sent a form."""
    _ = language.gettext
    return Message(
        _("Not accepted"),
        (_("The form came from another site. Nothing was changed. Do it in the console itself."),),
        _HOME,
        _("To the console"),
    )


def no_cookie(language: Language) -> Message:
    """The browser has not kept the session's cookie."""
    _ = language.gettext
    return Message(
        _("Your browser does not keep you signed in"),
        (
            _(
                "The console's cookie is kept over HTTPS only, and on localhost. Is the address one with https://?"
            ),
            _("If it is, allow cookies for this site."),
        ),
        "/console/sign-in/",
        _("Sign in"),
    )


def too_large(language: Language) -> Message:
    """413 and other forms that cannot be read."""
    _ = language.gettext
    return Message(
        _("The form cannot be read"),
        (_("It was too large, or broken off. Go back and send it again."),),
        _HOME,
        _("To the console"),
    )


def error_text(language: Language, error: NightlatchError) -> str:
    """The error's public sentence in this language; one that has no translation is shown as it is."""
    _ = language.gettext
    match error:
        case CredentialsRejected():
            return _("E-mail address, password and organization id do not fit together.")
        case Throttled():
            return language.ngettext(
                "Too many attempts. Try again in %(number)s second.",
                "Too many attempts. Try again in %(number)s seconds.",
                error.retry_after,
            )
        case TokenLimitReached():
            return _("The organization has as many tokens as it may have. End one first.")
        case LastOwner():
            return _("An organization needs an owner. Make somebody else one first.")
        case Forbidden():
            return _("You may not do this.")
        case NotFound():
            return _("It is not there any more. Somebody else may have changed it in the meantime.")
        case Unavailable():
            return _("Not possible at the moment. Wait a little, and try again.")
    for pattern, translate in _PATTERNS:
        found = pattern.fullmatch(error.public)
        if found is not None:
            return _(translate, **found.groupdict())
    return _(error.public)


def _message(text: str) -> str:
    """Mark a text for translation; it is looked up where it is shown."""
    return text


_PATTERNS: Final = tuple(
    (re.compile(pattern), text)
    for pattern, text in (
        (
            r"The password is too short: (?P<length>\d+) of at least (?P<least>\d+) characters\. Several .*",
            _message(
                "The password is too short: %(length)s of at least %(least)s characters. "
                "Several words in a row are easy to remember."
            ),
        ),
        (
            r"The password has more than (?P<most>\d+) bytes\. Choose a shorter one\.",
            _message("The password has more than %(most)s bytes. Choose a shorter one."),
        ),
        (
            r"'(?P<text>.*)' is not an e-mail address: .*",
            _message("'%(text)s' is not an e-mail address: expected name@host, at most 254 characters."),
        ),
        (
            r"An organization's name has 1 to (?P<most>\d+) printable characters\.",
            _message("An organization's name has 1 to %(most)s printable characters."),
        ),
        (
            r"A token limit is a number from 0 to (?P<most>\d+)\.",
            _message("A token limit is a number from 0 to %(most)s."),
        ),
        (
            r"A token's name has at most (?P<most>\d+) printable characters\.",
            _message("A token's name has at most %(most)s printable characters."),
        ),
        (
            r"Ensure this value is less than or equal to (?P<most>\d+)\.",
            _message("At most %(most)s seconds are allowed here."),
        ),
        (
            r"(?P<email>\S+) is a member already\.",
            _message("%(email)s is a member already."),
        ),
        (
            r"There are (?P<most>\d+) invitations already that nobody has used, .*",
            _message(
                "There are %(most)s invitations already that nobody has used, and there may be no more. "
                "Withdraw those that are not needed."
            ),
        ),
        (
            r"(?P<email>\S+) is disabled\. Only the operator can let them log in again\.",
            _message("%(email)s is disabled. Only the operator can let them log in again."),
        ),
        (
            r"(?P<email>\S+) belongs to another organization too\. Only the operator .*",
            _message(
                "%(email)s belongs to another organization too. "
                "Only the operator can send them a link to set their password."
            ),
        ),
        (
            r"Owners may not change .* here\. The operator of this service can\.",
            _message("Owners may not change this here. The operator of this service can."),
        ),
        (
            r"A time to live is 1 to (?P<most>\d+) seconds \(ten years\)\.",
            _message("A time to live is 1 to %(most)s seconds (ten years)."),
        ),
    )
)
_SENTENCES: Final = (
    _message("The session has ended. Sign in again."),
    _message("To change your own password, show the one that you have: under Account."),
    _message("The link is incomplete. Open it again as it was sent, or copy all of it."),
    _message("The invitation has expired. Ask for a new one where you got it."),
    _message(
        "The invitation has been used or withdrawn, or a newer one has replaced it. "
        "If you have not become a member, ask for a new one where you got it."
    ),
    _message("You are a member already. Sign in."),
    _message("The password is empty."),
    _message("The password has a control character or one that Unicode does not define."),
    _message(
        "A link to set a password cannot be the password. "
        "Choose another: several unrelated words in a row, or one from a password manager."
    ),
    _message(
        "The password is the user's e-mail address, or the part before the @. "
        "Choose another: several unrelated words in a row, or one from a password manager."
    ),
    _message(
        "The password is the name or the id of an organization of the user. "
        "Choose another: several unrelated words in a row, or one from a password manager."
    ),
    _message(
        "The password is the name of this product. "
        "Choose another: several unrelated words in a row, or one from a password manager."
    ),
    _message(
        "The password is on the list of those that are guessed first. "
        "Choose another: several unrelated words in a row, or one from a password manager."
    ),
)
"""What guard/password_rules.py and the use cases say."""
