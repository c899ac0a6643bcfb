"""Members and invitations, and what is asked before either changes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from nightlatch.console.language import Language
from nightlatch.console.views.confirmation import Confirmation
from nightlatch.console.views.moments import Moment, moment
from nightlatch.console.views.password_again import PasswordAgain
from nightlatch.model.names import Email, Role, UserId
from nightlatch.model.records import Membership

PATH = "/console/members/"


class PendingInvitation(Protocol):
    """An invitation as the store lists it."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def email(self) -> Email: ...  # noqa: D102
    @property
    def role(self) -> Role: ...  # noqa: D102
    @property
    def invited_by(self) -> str: ...  # noqa: D102
    @property
    def created(self) -> datetime: ...  # noqa: D102
    @property
    def expiry(self) -> datetime: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class MemberRow:
    """A member as a row."""

    user_id: int
    email: str
    role: str
    other_role: str
    """The one that they may be given: owner or member."""
    joined: Moment
    is_owner: bool
    is_self: bool
    is_disabled: bool


@dataclass(frozen=True, slots=True)
class InvitationRow:
    """An invitation that waits, as a row."""

    id: str
    email: str
    role: str
    invited_by: str
    created: Moment
    expiry: Moment


@dataclass(frozen=True, slots=True)
class Members:
    """The page `members.html`; its form sends `email` and `role` (owner, member) to the same path."""

    members: tuple[MemberRow, ...]
    invitations: tuple[InvitationRow, ...]
    again: PasswordAgain
    email: str
    role: str
    problem: str
    """What is wrong with the form: a sentence."""
    done: str
    """What has just been done: a sentence."""


def role_name(language: Language, role: str) -> str:
    """What a role is called."""
    return language.gettext("Owner") if role == Role.OWNER else language.gettext("Member")


def members_view(
    language: Language,
    members: Sequence[Membership],
    invitations: Sequence[PendingInvitation],
    self_id: UserId,
    now: datetime,
    again: PasswordAgain,
    email: str = "",
    role: str = Role.MEMBER,
    problem: str = "",
    done: str = "",
) -> Members:
    """The list, and the form as it was filled in."""
    return Members(
        members=tuple(
            MemberRow(
                user_id=each.user_id,
                email=each.email,
                role=role_name(language, each.role),
                other_role=(Role.MEMBER if each.role is Role.OWNER else Role.OWNER).value,
                joined=moment(language, each.created, now),
                is_owner=each.role is Role.OWNER,
                is_self=each.user_id == self_id,
                is_disabled=each.disabled is not None,
            )
            for each in members
        ),
        invitations=tuple(
            InvitationRow(
                id=each.id,
                email=each.email,
                role=role_name(language, each.role),
                invited_by=each.invited_by,
                created=moment(language, each.created, now),
                expiry=moment(language, each.expiry, now),
            )
            for each in invitations
        ),
        again=again,
        email=email,
        role=role,
        problem=problem,
        done=done,
    )


def confirm_role(
    language: Language, member: Membership, role: Role, is_self: bool, again: PasswordAgain, problem: str = ""
) -> Confirmation:
    """Before `member` gets another role; sends `role`."""
    to_owner = role is Role.OWNER
    _ = language.gettext
    consequences = (
        [
            _("They see and end everybody's tokens, and make tokens of their own."),
            _("They invite and remove members, owners too, and see all activity."),
        ]
        if to_owner
        else [
            _("They see and end their own tokens only."),
            _("Their tokens go on working, as a member's."),
        ]
    )
    if is_self:
        consequences.append(
            _("It is your own role: you lose these pages until another owner gives them back.")
        )
    return Confirmation(
        section="members",
        title=_("Make %(email)s an owner?", email=member.email)
        if to_owner
        else _("Make %(email)s a member?", email=member.email),
        sentences=(),
        consequences=tuple(consequences),
        action=f"{PATH}{member.user_id}/role/",
        fields=(("role", role.value),),
        button=_("Make owner") if to_owner else _("Make member"),
        is_danger=is_self,
        cancel_url=PATH,
        again=again,
        problem=problem,
    )


def confirm_removal(
    language: Language,
    member: Membership,
    tokens: int,
    is_self: bool,
    again: PasswordAgain,
    problem: str = "",
) -> Confirmation:
    """Before `member`, who has so many live tokens, is removed."""
    _ = language.gettext
    consequences = [
        language.ngettext(
            "%(number)s token of theirs ends: the program that uses it stops working at once.",
            "%(number)s tokens of theirs end: the programs that use them stop working at once.",
            tokens,
        )
        if tokens
        else _("They have no token, so no program stops."),
        _("They are signed out of this organization, and cannot sign in to it again."),
        _("Their account stays: other organizations of theirs notice nothing."),
    ]
    if is_self:
        consequences.append(_("It is you: you are signed out at once."))
    return Confirmation(
        section="members",
        title=_("Remove %(email)s?", email=member.email),
        sentences=(),
        consequences=tuple(consequences),
        action=f"{PATH}{member.user_id}/remove/",
        fields=(),
        button=_("Remove member"),
        is_danger=True,
        cancel_url=PATH,
        again=again,
        problem=problem,
    )


def confirm_password_link(
    language: Language, member: Membership, again: PasswordAgain, problem: str = ""
) -> Confirmation:
    """Before a link to set a new password is made for `member`."""
    _ = language.gettext
    return Confirmation(
        section="members",
        title=_("Reset the password of %(email)s?", email=member.email),
        sentences=(_("You get a link to hand on. Whoever opens it sets a new password; you never see it."),),
        consequences=(
            _("Nothing changes until the link is used. Then all their tokens end, and they are signed out."),
            _("A link that they were given before stops working."),
        ),
        action=f"{PATH}{member.user_id}/password/",
        fields=(),
        button=_("Make link"),
        is_danger=False,
        cancel_url=PATH,
        again=again,
        problem=problem,
    )


def confirm_withdrawal(
    language: Language, invitation: PendingInvitation, again: PasswordAgain, problem: str = ""
) -> Confirmation:
    """Before an invitation is withdrawn."""
    _ = language.gettext
    return Confirmation(
        section="members",
        title=_("Withdraw the invitation of %(email)s?", email=invitation.email),
        sentences=(),
        consequences=(_("The link stops working. You can invite them again."),),
        action=f"{PATH}invitations/{invitation.id}/withdraw/",
        fields=(),
        button=_("Withdraw"),
        is_danger=True,
        cancel_url=PATH,
        again=again,
        problem=problem,
    )
