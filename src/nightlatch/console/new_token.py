"""GET and POST /console/tokens/new/: make a token with a name, shown once."""

import structlog
from starlette.responses import Response

from nightlatch.console.asked import Asked
from nightlatch.console.views.new_token import created_token_view, new_token_view
from nightlatch.console.views.password_again import PasswordAgain
from nightlatch.console.views.tokens import Meter
from nightlatch.model.errors import InvalidValue, Throttled, TokenLimitReached
from nightlatch.usecases.create_token import create_token
from nightlatch.usecases.show_own_tokens import show_own_tokens

_log = structlog.get_logger("nightlatch")


async def show_new_token(asked: Asked) -> Response:
    """The form."""
    return await _form(asked, asked.again, {}, 200)


async def send_new_token(asked: Asked) -> Response:
    """Make it; the answer is the only page that shows it."""
    again = await asked.confirm()
    if again.problem:
        return await _form(asked, again, {}, 400)
    name, seconds = asked.field("name"), asked.field("time_to_live").strip()
    is_number = seconds.isascii() and seconds.isdigit() and len(seconds) <= 12
    if seconds and not is_number:
        problem = asked.language.gettext("Choose one of these.")
        return await _form(asked, again, {"time_to_live": problem}, 400)
    try:
        issued = await create_token(
            asked.services, asked.session, name, int(seconds) if seconds else None, asked.origin
        )
    except InvalidValue as error:
        return await _form(asked, again, {error.field: asked.says(error)}, 400)
    except TokenLimitReached as error:
        return await _form(asked, again, {"": asked.says(error)}, 403)
    except Throttled as error:
        return await _form(asked, again, {"": asked.says(error)}, 429)
    identity = asked.session.identity
    _log.info(
        "token_created",
        token_id=issued.token.id,
        organization_id=identity.organization_id,
        user_id=identity.user_id,
    )
    view = created_token_view(asked.language, issued, name.strip(), asked.base_url, asked.session.now)
    return asked.page("token_created.html", view)


async def _form(asked: Asked, again: PasswordAgain, problems: dict[str, str], status: int) -> Response:
    overview = await show_own_tokens(asked.services, asked.session)
    view = new_token_view(
        asked.language,
        overview.time_to_live,
        Meter(overview.live, overview.token_limit),
        overview.limit_policy,
        again,
        asked.field("name"),
        asked.field("time_to_live"),
        problems,
    )
    return asked.page("new_token.html", view, status)
