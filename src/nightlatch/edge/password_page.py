"""GET and POST /set-password/: the page behind a link to set a password.

Plain HTML that needs no script and loads nothing. Opening it changes nothing, since mail scanners open
links too; the form uses the link up.
"""

import base64
import hashlib
from typing import Any, Final

import structlog
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from nightlatch.edge.body import read_form
from nightlatch.edge.origin import read_origin
from nightlatch.edge.same_site import Sender, read_sender
from nightlatch.model.errors import InvalidValue, Unavailable
from nightlatch.usecases.services import Services
from nightlatch.usecases.use_password_link import find_password_link, use_password_link

PATH: Final = "/set-password/"

_log = structlog.get_logger("nightlatch")
_DEAD_LINK: Final = "This link does not work"


class PasswordPage:
    """The page; `public_url` is where people reach it, if that is set."""

    def __init__(self, services: Services, public_url: str | None) -> None:
        self._services = services
        self._public_url = public_url
        templates = Environment(
            loader=PackageLoader("nightlatch.edge"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            auto_reload=False,
        )
        style = templates.get_template("style.css").render()
        templates.globals["style"] = Markup(style)  # noqa: S704 - a file of ours
        digest = base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode("ascii")
        self._templates = templates
        self._headers = {
            # OWASP Cheat Sheets: Content Security Policy; Forgot Password (Referrer-Policy).
            "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{digest}'; "
            "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
            "Referrer-Policy": "no-referrer",
        }

    @property
    def route(self) -> Route:
        """Where the page is."""
        return Route(PATH, self._answer, methods=["GET", "POST"])

    async def _answer(self, request: Request) -> Response:
        try:
            if request.method == "POST":
                return await self._set(request)
            return await self._form(request.query_params.get("link", ""))
        except InvalidValue as error:
            _log.info("password_link_refused", reason=error.public)
            return self._page(404, "password_not_set.html", heading=_DEAD_LINK, sentence=error.public)
        except Unavailable as error:
            _log.warning("unavailable", code=error.code, reason=error.detail)
            response = self._page(
                503,
                "password_not_set.html",
                heading="Not possible at the moment",
                sentence="Wait a moment, and open the link again. If it does not work any more then, "
                "the password has been set.",
            )
            response.headers["Retry-After"] = str(error.retry_after)
            return response

    async def _form(self, secret: str, problem: str = "") -> Response:
        link = await find_password_link(self._services, secret)
        return self._page(
            400 if problem else 200,
            "set_password.html",
            secret=secret,
            email=link.email,
            expiry=f"{link.expiry:%-d %B %Y, %H:%M} UTC",
            length_min=self._services.password_rules.length_min,
            problem=problem,
        )

    async def _set(self, request: Request) -> Response:
        # A second lock: whoever sends the form has to know the link. So browsers that do not tell pass.
        if read_sender(request, self._public_url) is Sender.OTHER_SITE:
            return self._page(
                403,
                "password_not_set.html",
                heading="Not accepted",
                sentence="Another site has sent this form. Open the link itself.",
            )
        fields = dict(await read_form(request))
        secret = fields.get("link", "")
        try:
            ended = await use_password_link(
                self._services, secret, fields.get("password", ""), read_origin(request)
            )
        except InvalidValue as error:
            if error.field != "password":
                raise
            return await self._form(secret, error.public)
        _log.info("password_set_by_link", tokens=len(ended))
        return self._page(200, "password_set.html")

    def _page(self, status: int, template: str, **values: Any) -> Response:
        return HTMLResponse(self._templates.get_template(template).render(values), status, self._headers)
