"""GET /console/tokens/: the live tokens, how many there may be, and how they are used."""

from starlette.responses import Response

from nightlatch.console.asked import Asked
from nightlatch.console.views.tokens import Meter, choose_shown, read_token_query, tokens_view
from nightlatch.usecases.show_own_tokens import show_own_tokens
from nightlatch.usecases.show_usage import show_usage


async def show_tokens(asked: Asked) -> Response:
    """The list, as the query asks for it."""
    session, now = asked.session, asked.session.now
    overview = await show_own_tokens(asked.services, session)
    query = read_token_query(asked.request.query_params)
    chosen = choose_shown(overview.tokens, query, now)
    usage = await show_usage(asked.services, session, [token.id for token in chosen.shown])
    meter = Meter(overview.live, overview.token_limit)
    view = tokens_view(asked.language, query, chosen, usage, meter, overview.limit_policy, now)
    return asked.page("tokens.html", view)
