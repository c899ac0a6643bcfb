"""GET and POST /console/tokens/end/: end one token, several, all of a user, or all that idle."""

from typing import Final

import structlog
from starlette.responses import Response

from nightlatch.console.asked import Asked
from nightlatch.console.views.end_tokens import end_tokens_view, ended_tokens_view
from nightlatch.console.views.password_again import PasswordAgain
from nightlatch.model.errors import NotFound
from nightlatch.model.names import TokenId, normalize_email
from nightlatch.model.records import TokenChoice
from nightlatch.usecases.choose_tokens import choose_tokens, end_chosen_tokens

_log = structlog.get_logger("nightlatch")

_NOT_ASKED: Final = PasswordAgain(is_needed=False)
"""To end one token no password is asked for: who sees a stolen one must not be held up."""


async def confirm_end(asked: Asked) -> Response:
    """What would end, by name; nothing ends yet."""
    ids, email, idle_days = asked.request.query_params.getlist("id"), asked.query("user"), None
    days = asked.query("idle_days")
    if days.isascii() and days.isdigit():
        idle_days = int(days[:6])
    if not ids and not email and idle_days is None:
        return asked.see("/console/tokens/")
    choice = TokenChoice(
        ids=frozenset(map(TokenId, ids)) if ids else None,
        email=normalize_email(email[:254]) if email else None,
        idle_days=idle_days,
    )
    tokens = await choose_tokens(asked.services, asked.session, choice)
    again = asked.again if len(tokens) > 1 else _NOT_ASKED
    view = end_tokens_view(asked.language, tokens, asked.session.now, again, choice.email, idle_days)
    return asked.page("end_tokens.html", view)


async def send_end(asked: Asked) -> Response:
    """End the tokens that were named, and show what ended, in force everywhere."""
    ids = asked.fields.get("id", ())
    if not ids:
        raise NotFound("no token was named")
    chosen = frozenset(map(TokenId, ids))
    if len(chosen) > 1:
        again = await asked.confirm()
        if again.problem:
            tokens = await choose_tokens(asked.services, asked.session, TokenChoice(ids=chosen))
            view = end_tokens_view(asked.language, tokens, asked.session.now, again)
            return asked.page("end_tokens.html", view, 400)
    ended = await end_chosen_tokens(asked.services, asked.session, chosen, asked.origin)
    _log.info(
        "tokens_ended",
        count=len(ended.ended),
        organization_id=asked.session.identity.organization_id,
        user_id=asked.session.identity.user_id,
    )
    receipt = ended_tokens_view(asked.language, ended.ended, ended.gone, ended.at, asked.session.now)
    return asked.page("tokens_ended.html", receipt)
