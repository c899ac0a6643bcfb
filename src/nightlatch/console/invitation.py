"""GET and POST /console/invitation/: the page behind a link that makes somebody a member."""

from urllib.parse import urlencode

import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from nightlatch.console import PATH
from nightlatch.console.asked import read_fields
from nightlatch.console.site import Site
from nightlatch.console.views import messages
from nightlatch.console.views.links import invitation_view
from nightlatch.edge.origin import read_origin
from nightlatch.model.errors import CredentialsRejected, InvalidValue, Throttled
from nightlatch.usecases.accept_invitation import accept_invitation, find_invitation

_log = structlog.get_logger("nightlatch")


async def show_invitation(site: Site, request: Request) -> Response:
    """To what the link invites. Opening it changes nothing: mail scanners open links, too."""
    return await _page(site, request, request.query_params.get("link", ""), "", 200)


async def send_invitation_answer(site: Site, request: Request) -> Response:
    """Become a member; then sign in."""
    fields = {name: values[-1] for name, values in (await read_fields(request)).items()}
    text = fields.get("link", "")
    language = site.language(request)
    try:
        membership = await accept_invitation(
            site.services, text, fields.get("password", ""), read_origin(request)
        )
    except InvalidValue as error:
        if error.field != "password":
            return site.message(request, messages.dead_link, 404)
        return await _page(site, request, text, messages.error_text(language, error), 400)
    except CredentialsRejected:
        problem = language.gettext("There is an account with this address, and that is not its password.")
        return await _page(site, request, text, problem, 400)
    except Throttled as error:
        response = await _page(site, request, text, messages.error_text(language, error), 429)
        response.headers["Retry-After"] = str(error.retry_after)
        return response
    _log.info("invitation_accepted", organization_id=membership.organization_id, user_id=membership.user_id)
    query = {"joined": "1", "username": membership.email, "organization_id": membership.organization_id}
    return RedirectResponse(f"{PATH}sign-in/?{urlencode(query)}", 303)


async def _page(site: Site, request: Request, text: str, problem: str, status: int) -> Response:
    try:
        found = await find_invitation(site.services, text)
    except InvalidValue:
        return site.message(request, messages.dead_link, 404)
    view = invitation_view(
        site.language(request),
        text,
        found.organization_id,
        found.organization_name,
        found.email,
        found.role,
        site.services.password_rules.length_min,
        problem,
    )
    return site.page(request, "invitation.html", view, status)
