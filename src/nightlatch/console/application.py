"""The console as an ASGI application: every path, and who may ask for it."""

from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from nightlatch.console import PATH
from nightlatch.console.account import send_account, show_account
from nightlatch.console.activity import send_export, show_activity
from nightlatch.console.asked import SendMail
from nightlatch.console.assets import PATH as ASSETS
from nightlatch.console.end_tokens import confirm_end, send_end
from nightlatch.console.invitation import send_invitation_answer, show_invitation
from nightlatch.console.members import (
    send_invitation,
    send_password_link,
    send_removal,
    send_role,
    send_withdrawal,
    show_members,
    show_password_link,
    show_removal,
    show_role,
    show_withdrawal,
)
from nightlatch.console.new_token import send_new_token, show_new_token
from nightlatch.console.organization import send_organization, show_organization
from nightlatch.console.sign_in import FIRST_PAGE, arrive, send_sign_in, send_sign_out, show_sign_in
from nightlatch.console.site import Handler, OpenHandler, Site, send_asset
from nightlatch.console.tokens import show_tokens
from nightlatch.console.views import messages
from nightlatch.usecases.services import Services

_OPEN: Final[dict[str, tuple[OpenHandler | None, OpenHandler | None]]] = {
    "sign-in/": (show_sign_in, send_sign_in),
    "arrived/": (arrive, None),
    "invitation/": (show_invitation, send_invitation_answer),
}
"""For everybody: what GET and POST do, below the console's path."""

_SIGNED_IN: Final[dict[str, tuple[Handler | None, Handler | None]]] = {
    "sign-out/": (None, send_sign_out),
    "tokens/": (show_tokens, None),
    "tokens/end/": (confirm_end, send_end),
    "tokens/new/": (show_new_token, send_new_token),
    "members/": (show_members, send_invitation),
    "members/{user_id}/role/": (show_role, send_role),
    "members/{user_id}/remove/": (show_removal, send_removal),
    "members/{user_id}/password/": (show_password_link, send_password_link),
    "members/invitations/{invitation_id}/withdraw/": (show_withdrawal, send_withdrawal),
    "account/": (show_account, send_account),
    "activity/": (show_activity, None),
    "activity/export/": (send_export, None),
    "organization/": (show_organization, send_organization),
}
"""For who has a live session."""


def build_console(services: Services, public_url: str | None, send_mail: SendMail | None = None) -> ASGIApp:
    """The pages below /console/, on services that outlive them; `public_url` is where people reach them."""
    site = Site(services, public_url, send_mail)
    routes = [Route(PATH, site.open(_first)), Route(f"{ASSETS}{{name}}/", send_asset)]
    for path, (show, send) in _OPEN.items():
        routes += [
            Route(f"{PATH}{path}", site.open(handler), methods=[method])
            for method, handler in (("GET", show), ("POST", send))
            if handler is not None
        ]
    for path, (show_page, send_form) in _SIGNED_IN.items():
        routes += [
            Route(f"{PATH}{path}", site.signed_in(handler), methods=[method])
            for method, handler in (("GET", show_page), ("POST", send_form))
            if handler is not None
        ]

    async def nothing_there(request: Request, raised: Exception) -> Response:
        status = raised.status_code if isinstance(raised, HTTPException) else 404
        return await site.open(lambda _, asked: _not_found(site, asked, status))(request)

    app = Starlette(routes=routes, exception_handlers={404: nothing_there, 405: nothing_there})
    app.router.redirect_slashes = False
    return app


async def _first(site: Site, request: Request) -> Response:
    return RedirectResponse(FIRST_PAGE, 303)


async def _not_found(site: Site, request: Request, status: int) -> Response:
    return site.message(request, messages.not_found, status)
