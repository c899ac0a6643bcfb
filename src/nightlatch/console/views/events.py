"""Events in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from nightlatch.console.language import Language
from nightlatch.console.views.client import client_name
from nightlatch.console.views.moments import Moment, duration, moment
from nightlatch.model.event import ActorKind, EventKind, EventRecord

_REFUSED: Final = {EventKind.LOGIN_REFUSED, EventKind.LIMIT_REACHED, EventKind.THROTTLED}
_IDS: Final = {"ended_tokens", "replaced_tokens"}


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event as a row."""

    id: int
    at: Moment
    kind: str
    title: str
    is_refusal: bool
    actor: str
    subject: str
    """Whom it was done to; empty where that is who did it."""
    token_id: str
    address: str
    client: str
    user_agent: str
    details: tuple[tuple[str, str], ...]
    """Names and values."""
    count: int


def event_row(language: Language, event: EventRecord, now: datetime) -> EventRow:
    """The event as it is shown in any list."""
    return EventRow(
        id=event.id,
        at=moment(language, event.at, now),
        kind=event.kind,
        title=kind_name(language, event.kind),
        is_refusal=event.kind in _REFUSED,
        actor=event.actor_email or _actor_name(language, event.actor),
        subject="" if event.email == event.actor_email else event.email or "",
        token_id=event.token_id or "",
        address=event.address or "",
        client=client_name(event.user_agent),
        user_agent=event.user_agent or "",
        details=tuple(_details(language, event.detail)),
        count=event.count,
    )


def kind_name(language: Language, kind: str) -> str:
    """What happened; a kind of a later version is shown as it is written."""
    return kind_names(language).get(kind, kind)


def kind_names(language: Language) -> Mapping[str, str]:
    """All kinds that an organization's owners can see, the most frequent ones first."""
    _ = language.gettext
    return {
        EventKind.LOGIN: _("Token made by a login"),
        EventKind.LOGIN_REFUSED: _("Login refused"),
        EventKind.LIMIT_REACHED: _("Login refused: limit of tokens reached"),
        EventKind.THROTTLED: _("Login refused: too many attempts"),
        EventKind.LOGOUT: _("Token ended by a logout"),
        EventKind.LOGOUT_ALL: _("All tokens of the user ended by a logout"),
        EventKind.TOKEN_CREATED: _("Token made in the console"),
        EventKind.TOKEN_REVOKED: _("Token ended"),
        EventKind.TOKENS_REVOKED: _("Several tokens ended"),
        EventKind.CHILD_TOKEN_ISSUED: _("Child token made"),
        EventKind.CHILD_TOKEN_REVOKED: _("Child token ended"),
        EventKind.PASSWORD_CHANGED: _("Password changed"),
        EventKind.PASSWORD_LINK_ISSUED: _("Link to set a password made"),
        EventKind.SIGNED_IN: _("Signed in to the console"),
        EventKind.SIGNED_OUT: _("Signed out of the console"),
        EventKind.SESSIONS_ENDED: _("Console sessions ended"),
        EventKind.USER_ADDED: _("User added"),
        EventKind.USER_DISABLED: _("User disabled"),
        EventKind.USER_ENABLED: _("User enabled"),
        EventKind.MEMBER_INVITED: _("Member invited"),
        EventKind.INVITATION_WITHDRAWN: _("Invitation withdrawn"),
        EventKind.MEMBER_ADDED: _("Member added"),
        EventKind.MEMBER_CHANGED: _("Role changed"),
        EventKind.MEMBER_REMOVED: _("Member removed"),
        EventKind.ORGANIZATION_ADDED: _("Organization added"),
        EventKind.ORGANIZATION_CHANGED: _("Organization changed"),
        EventKind.ORGANIZATION_CLOSED: _("Organization closed"),
        EventKind.LIMIT_CHANGED: _("Rules for tokens changed"),
        EventKind.LEASE_CHANGED: _("Lease changed"),
        EventKind.RESTORED: _("Restored from a backup"),
        EventKind.IMPORTED: _("Imported from another service"),
    }


def _actor_name(language: Language, actor: ActorKind) -> str:
    return {
        ActorKind.USER: language.gettext("a user"),
        ActorKind.OPERATOR: language.gettext("the operator"),
        ActorKind.ANONYMOUS: language.gettext("somebody unknown"),
        ActorKind.SERVER: language.gettext("the server"),
    }[actor]


def _detail_names(language: Language) -> Mapping[str, str]:
    _ = language.gettext
    return {
        "replaced_tokens": _("ended to make place"),
        "ended_tokens": _("ended tokens"),
        "ended_sessions": _("ended sessions"),
        "reason": _("reason"),
        "by": _("by"),
        "role": _("role"),
        "parent_id": _("made with"),
        "methods": _("methods"),
        "paths": _("paths"),
        "origin": _("origin"),
        "addresses": _("addresses"),
        "name": _("name"),
        "token_limit": _("token limit"),
        "limit_policy": _("at the limit"),
        "time_to_live": _("time to live"),
        "child_token_limit": _("limit of child tokens"),
        "child_time_to_live": _("time to live of child tokens"),
        "source": _("source"),
        "users": _("users"),
        "memberships": _("memberships"),
        "tokens": _("tokens"),
        "links": _("links"),
    }


def _words(language: Language) -> Mapping[str, str]:
    """Values that are words of ours."""
    _ = language.gettext
    return {
        "owner": _("owner"),
        "member": _("member"),
        "presenter": _("who had the token"),
        "operator": _("operator"),
        "wrong password": _("wrong password"),
        "no such member": _("no such member"),
        "user disabled or organization closed": _("user disabled or organization closed"),
        "password too long": _("password too long"),
        "changed during login": _("changed during the login"),
        "various": _("various"),
        "account or address": _("account or address"),
        "account or address, at once": _("account or address, at once"),
        "successful logins": _("successful logins"),
        "refuse": _("refuse the login"),
        "replace_oldest": _("end the oldest token"),
        "replace_least_recently_used": _("end the token that was not used for longest"),
    }


def _details(language: Language, detail: Mapping[str, Any]) -> list[tuple[str, str]]:
    names = _detail_names(language)
    return [
        (names.get(name, name), _value(language, name, value))
        for name, value in detail.items()
        if value not in ([], None, "")
    ]


def _value(language: Language, name: str, value: object) -> str:
    match value:
        case {"before": before, "after": after}:
            return language.gettext(
                "%(before)s → %(after)s",
                before=_value(language, name, before),
                after=_value(language, name, after),
            )
        case None:
            return language.gettext("without end") if name == "time_to_live" else language.gettext("none")
        case bool():
            return language.gettext("yes") if value else language.gettext("no")
        case int() if name in ("time_to_live", "child_time_to_live"):
            return duration(language, value)
        case int():
            return language.number(value)
        case list() if name in _IDS and len(value) > 5:
            first = ", ".join(str(each) for each in value[:5])
            return language.gettext(
                "%(first)s and %(more)s more", first=first, more=language.number(len(value) - 5)
            )
        case list():
            return ", ".join(str(each) for each in value)
        case dict():
            return ", ".join(f"{key}: {_value(language, str(key), each)}" for key, each in value.items())
    return _words(language).get(str(value), str(value))
