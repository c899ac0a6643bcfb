"""/console/members/: who belongs to the organization, and the invitations that wait."""

from collections.abc import Awaitable, Callable

import structlog
from starlette.responses import Response

from nightlatch.console import PATH
from nightlatch.console.asked import Asked
from nightlatch.console.views import links, mails
from nightlatch.console.views.confirmation import Confirmation
from nightlatch.console.views.members import (
    confirm_password_link,
    confirm_removal,
    confirm_role,
    confirm_withdrawal,
    members_view,
)
from nightlatch.console.views.password_again import PasswordAgain
from nightlatch.model.errors import MailNotSent, NotFound, Refused, SessionEnded
from nightlatch.model.invitation import InvitationId, InvitationRecord
from nightlatch.model.mail import Mail
from nightlatch.model.names import Role
from nightlatch.model.records import Membership, TokenChoice
from nightlatch.usecases.change_role import change_role_as_owner
from nightlatch.usecases.choose_tokens import choose_tokens
from nightlatch.usecases.invite_member import invite_member, withdraw_invitation
from nightlatch.usecases.issue_password_link import issue_password_link_as_owner
from nightlatch.usecases.list_members import list_invitations, list_members
from nightlatch.usecases.remove_member import remove_member_as_owner

_log = structlog.get_logger("nightlatch")

MEMBERS = f"{PATH}members/"


async def show_members(asked: Asked) -> Response:
    """The list, with a form to invite somebody."""
    asked.check_owner()
    return await _list(asked, asked.again, 200)


async def send_invitation(asked: Asked) -> Response:
    """Invite somebody; the answer is the only page that shows the link."""
    asked.check_owner()
    again = await asked.confirm()
    if again.problem:
        return await _list(asked, again, 400)
    role = _role(asked)
    try:
        invited = await invite_member(asked.services, asked.session, asked.field("email"), role, asked.origin)
    except SessionEnded:
        raise
    except Refused as error:
        return await _list(asked, again, 400, asked.says(error))
    _note(asked, "member_invited", role=role.value)
    url = f"{asked.base_url}{PATH}invitation/?link={invited.secret.reveal()}"
    was_mailed = await _mail(asked, mails.invitation_mail(asked.language, asked.session, invited, url))
    view = links.invitation_link(
        asked.language, invited.email, url, invited.expiry, asked.session.now, was_mailed
    )
    return asked.page("issued_link.html", view)


async def show_role(asked: Asked) -> Response:
    """Before a member gets the other role."""
    return await _confirmation(asked, _ask_role)


async def send_role(asked: Asked) -> Response:
    """Give a member another role."""

    async def change(member: Membership) -> Response:
        await change_role_as_owner(asked.services, asked.session, member.user_id, _role(asked), asked.origin)
        _note(asked, "role_changed", of_user=member.user_id, role=_role(asked).value)
        is_self = member.user_id == asked.session.identity.user_id
        return asked.see(PATH if is_self and _role(asked) is not Role.OWNER else MEMBERS, done="role")

    return await _change(asked, _ask_role, change)


async def show_removal(asked: Asked) -> Response:
    """Before a member is removed: how many tokens end."""
    member, tokens = await _member_with_tokens(asked)
    return asked.page("confirm.html", _ask_removal(asked, member, tokens, asked.again, ""))


async def send_removal(asked: Asked) -> Response:
    """Remove a member, whose tokens and sessions of the organization end."""
    member, tokens = await _member_with_tokens(asked)
    again = await asked.confirm()
    if again.problem:
        return asked.page("confirm.html", _ask_removal(asked, member, tokens, again, ""), 400)
    try:
        await remove_member_as_owner(asked.services, asked.session, member.user_id, asked.origin)
    except (NotFound, SessionEnded):
        raise
    except Refused as error:
        view = _ask_removal(asked, member, tokens, again, asked.says(error))
        return asked.page("confirm.html", view, 400)
    _note(asked, "member_removed", of_user=member.user_id)
    return asked.see(MEMBERS, done="removed")


async def show_password_link(asked: Asked) -> Response:
    """Before a link to set a new password is made."""
    return await _confirmation(asked, _ask_password_link)


async def send_password_link(asked: Asked) -> Response:
    """Make the link; the answer is the only page that shows it."""

    async def issue(member: Membership) -> Response:
        issued = await issue_password_link_as_owner(
            asked.services, asked.session, member.user_id, asked.origin
        )
        _note(asked, "password_link_issued", of_user=member.user_id)
        url = f"{asked.base_url}/set-password/?link={issued.secret.reveal()}"
        was_mailed = await _mail(asked, mails.password_mail(asked.language, asked.session, issued, url))
        view = links.password_link(
            asked.language, issued.email, url, issued.expiry, asked.session.now, was_mailed
        )
        return asked.page("issued_link.html", view)

    return await _change(asked, _ask_password_link, issue)


async def show_withdrawal(asked: Asked) -> Response:
    """Before an invitation is withdrawn."""
    invitation = await _invitation(asked)
    return asked.page("confirm.html", confirm_withdrawal(asked.language, invitation, asked.again))


async def send_withdrawal(asked: Asked) -> Response:
    """Withdraw an invitation."""
    invitation = await _invitation(asked)
    again = await asked.confirm()
    if again.problem:
        return asked.page("confirm.html", confirm_withdrawal(asked.language, invitation, again), 400)
    await withdraw_invitation(asked.services, asked.session, invitation.id, asked.origin)
    _note(asked, "invitation_withdrawn")
    return asked.see(MEMBERS, done="withdrawn")


_Ask = Callable[[Asked, Membership, PasswordAgain, str], Confirmation]


def _ask_role(asked: Asked, member: Membership, again: PasswordAgain, problem: str) -> Confirmation:
    is_self = member.user_id == asked.session.identity.user_id
    role = _role(asked) if asked.fields else (Role.MEMBER if member.role is Role.OWNER else Role.OWNER)
    return confirm_role(asked.language, member, role, is_self, again, problem)


def _ask_removal(
    asked: Asked, member: Membership, tokens: int, again: PasswordAgain, problem: str
) -> Confirmation:
    is_self = member.user_id == asked.session.identity.user_id
    return confirm_removal(asked.language, member, tokens, is_self, again, problem)


def _ask_password_link(asked: Asked, member: Membership, again: PasswordAgain, problem: str) -> Confirmation:
    return confirm_password_link(asked.language, member, again, problem)


async def _confirmation(asked: Asked, ask: _Ask) -> Response:
    return asked.page("confirm.html", ask(asked, await _member(asked), asked.again, ""))


async def _change(asked: Asked, ask: _Ask, change: Callable[[Membership], Awaitable[Response]]) -> Response:
    member = await _member(asked)
    again = await asked.confirm()
    if again.problem:
        return asked.page("confirm.html", ask(asked, member, again, ""), 400)
    try:
        return await change(member)
    except (NotFound, SessionEnded):
        raise
    except Refused as error:
        return asked.page("confirm.html", ask(asked, member, again, asked.says(error)), 400)


async def _list(asked: Asked, again: PasswordAgain, status: int, problem: str = "") -> Response:
    done = {
        "role": asked.language.gettext("The role is changed."),
        "removed": asked.language.gettext("The member is removed, and their tokens have ended."),
        "withdrawn": asked.language.gettext("The invitation is withdrawn."),
    }.get(asked.query("done"), "")
    view = members_view(
        asked.language,
        await list_members(asked.services, asked.session),
        await list_invitations(asked.services, asked.session),
        asked.session.identity.user_id,
        asked.session.now,
        again,
        email=asked.field("email"),
        role=asked.field("role") or Role.MEMBER,
        problem=problem,
        done=done,
    )
    return asked.page("members.html", view, status)


async def _member(asked: Asked) -> Membership:
    """The member that the path names. Raises Forbidden, NotFound."""
    asked.check_owner()
    for member in await list_members(asked.services, asked.session):
        if str(member.user_id) == asked.request.path_params["user_id"]:
            return member
    raise NotFound("no such member")


async def _member_with_tokens(asked: Asked) -> tuple[Membership, int]:
    member = await _member(asked)
    tokens = await choose_tokens(asked.services, asked.session, TokenChoice(email=member.email))
    return member, len(tokens)


async def _invitation(asked: Asked) -> InvitationRecord:
    """The invitation that the path names. Raises Forbidden, NotFound."""
    asked.check_owner()
    wanted = InvitationId(asked.request.path_params["invitation_id"])
    for invitation in await list_invitations(asked.services, asked.session):
        if invitation.id == wanted:
            return invitation
    raise NotFound("no such invitation")


async def _mail(asked: Asked, mail: Mail) -> bool | None:
    """Whether the mail was sent; None where the server sends none. It may take seconds."""
    if asked.send_mail is None:
        return None
    try:
        await asked.send_mail(mail)
    except MailNotSent as error:
        identity = asked.session.identity
        _log.warning(
            "mail_not_sent",
            organization_id=identity.organization_id,
            user_id=identity.user_id,
            reason=error.detail,
        )
        return False
    _note(asked, "mail_sent")
    return True


def _role(asked: Asked) -> Role:
    return Role.OWNER if asked.field("role") == Role.OWNER else Role.MEMBER


def _note(asked: Asked, event: str, **values: object) -> None:
    identity = asked.session.identity
    _log.info(event, organization_id=identity.organization_id, user_id=identity.user_id, **values)
