"""GET and POST /console/account/: one's password, sessions and recent activity."""

from typing import Final

import structlog
from starlette.responses import Response

from nightlatch.console import PATH
from nightlatch.console.asked import PASSWORD_FIELD, Asked
from nightlatch.console.views.account import account_view
from nightlatch.model.errors import CredentialsRejected, InvalidValue, Throttled
from nightlatch.model.session import SessionId
from nightlatch.usecases.change_own_password import change_own_password
from nightlatch.usecases.show_events import list_recent_events
from nightlatch.usecases.sign_out import end_own_sessions, list_own_sessions

_log = structlog.get_logger("nightlatch")

ACCOUNT: Final = f"{PATH}account/"
EVENTS: Final = 20


async def show_account(asked: Asked) -> Response:
    """The page."""
    return await _page(asked, {}, 200)


async def send_account(asked: Asked) -> Response:
    """Change the password, or end other sessions: what the form's `do` says."""
    match asked.field("do"):
        case "password":
            return await _change_password(asked)
        case "end_session":
            session_id = SessionId(asked.field("id"))
            if session_id == asked.session.id:
                return asked.see(ACCOUNT)
            await end_own_sessions(asked.services, asked.session, [session_id], asked.origin)
            return asked.see(ACCOUNT, done="session")
        case "end_others":
            await end_own_sessions(asked.services, asked.session, None, asked.origin)
            return asked.see(ACCOUNT, done="sessions")
    return asked.see(ACCOUNT)


async def _change_password(asked: Asked) -> Response:
    try:
        asked.secret = await change_own_password(
            asked.services,
            asked.session,
            asked.field(PASSWORD_FIELD),
            asked.field("new_password"),
            asked.origin,
        )
    except InvalidValue as error:
        return await _page(asked, {"new_password": asked.says(error)}, 400)
    except CredentialsRejected:
        problem = asked.language.gettext("That is not your password.")
        return await _page(asked, {PASSWORD_FIELD: problem}, 400)
    except Throttled as error:
        return await _page(asked, {PASSWORD_FIELD: asked.says(error)}, 429)
    _log.info("password_changed", user_id=asked.session.identity.user_id)
    return asked.see(ACCOUNT, done="password")


async def _page(asked: Asked, problems: dict[str, str], status: int) -> Response:
    done = {
        "password": asked.language.gettext(
            "Your password is changed. All your tokens and all other sessions have ended."
        ),
        "session": asked.language.gettext("The session has ended."),
        "sessions": asked.language.gettext("All other sessions have ended."),
    }.get(asked.query("done"), "")
    session = asked.session
    view = account_view(
        asked.language,
        await list_own_sessions(asked.services, session),
        session.id,
        await list_recent_events(asked.services, session.identity, EVENTS),
        asked.services.password_rules.length_min,
        session.now,
        done,
        problems,
    )
    return asked.page("account.html", view, status)
