"""The console as an application: its paths, who is signed in, and what becomes of errors."""

from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlencode

import structlog
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from nightlatch.console import PATH, cookies
from nightlatch.console.asked import Asked, SendMail, here_of, read_fields
from nightlatch.console.assets import find_asset
from nightlatch.console.language import COOKIE, Language, choose_language, find_language
from nightlatch.console.render import POLICY, Visit, render_page, visit_of
from nightlatch.console.views import messages
from nightlatch.console.views.messages import Message
from nightlatch.edge.answers import Answer
from nightlatch.edge.origin import read_origin, request_id
from nightlatch.edge.same_site import Sender, read_sender
from nightlatch.model.errors import (
    Forbidden,
    NotFound,
    Refused,
    SessionEnded,
    Throttled,
    Unavailable,
)
from nightlatch.usecases.find_session import find_session
from nightlatch.usecases.services import Services

_log = structlog.get_logger("nightlatch")

_HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    # Links and forms of ours go to us only; what is in a path is nobody else's business.
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_YEAR_SECONDS: Final = 365 * 24 * 3600

Handler = Callable[[Asked], Awaitable[Response]]
OpenHandler = Callable[["Site", Request], Awaitable[Response]]


class Site:
    """What the handlers share."""

    def __init__(self, services: Services, public_url: str | None, send_mail: SendMail | None) -> None:
        self.services = services
        self.public_url = public_url
        self.send_mail = send_mail

    def open(self, handler: OpenHandler) -> Callable[[Request], Awaitable[Response]]:
        """An endpoint for everybody."""

        async def endpoint(request: Request) -> Response:
            return await self._guarded(request, lambda: handler(self, request))

        return endpoint

    def signed_in(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """An endpoint for who has a live session; everybody else is led to the sign-in."""

        async def endpoint(request: Request) -> Response:
            return await self._guarded(request, lambda: self._in_session(request, handler))

        return endpoint

    def language(self, request: Request) -> Language:
        """The language that was chosen, by this request or before, else the browser's."""
        chosen = request.query_params.get(COOKIE)
        if find_language(chosen) is None:
            chosen = cookies.chosen_language(request)
        return choose_language(chosen, request.headers.get("accept-language"))

    def base_url(self, request: Request) -> str:
        """Where people reach this server."""
        if self.public_url is not None:
            return self.public_url
        return f"{request.base_url.scheme}://{request.base_url.netloc}"

    def page(self, request: Request, template: str, view: object, status: int = 200) -> Response:
        """A page for somebody who is not signed in."""
        visit = Visit(self.language(request), here_of(request))
        return HTMLResponse(render_page(template, visit, view=view), status)

    def message(self, request: Request, message: Callable[[Language], Message], status: int) -> Response:
        """A page that says one thing."""
        return self.page(request, "message.html", message(self.language(request)), status)

    async def _in_session(self, request: Request, handler: Handler) -> Response:
        session = await find_session(self.services, cookies.session_text(request))
        fields = {} if request.method == "GET" else await read_fields(request)
        asked = Asked(
            self.services,
            request,
            session,
            read_origin(request),
            self.language(request),
            self.base_url(request),
            self.send_mail,
            fields,
        )
        try:
            return await handler(asked)
        except SessionEnded:
            raise
        except Refused as error:
            return asked.sent(_refused(visit_of(asked.session, asked.language), error))
        except Unavailable as error:
            # With the session's new secret, if it has got one: the one before it is worth nothing now.
            return asked.sent(self._unavailable(request, error))

    async def _guarded(self, request: Request, answer: Callable[[], Awaitable[Response]]) -> Response:
        sender = Sender.OWN if request.method == "GET" else read_sender(request, self.public_url)
        is_secure = self.base_url(request).startswith("https://")
        if sender is Sender.UNKNOWN and not is_secure:
            # Over plain HTTP browsers do not tell, with our Referrer-Policy; nor would they keep the session.
            response = self.message(request, messages.no_cookie, 403)
        elif sender is not Sender.OWN:
            _log.warning("cross_site_refused", method=request.method)
            response = self.message(request, messages.other_site, 403)
        else:
            response = await self._answered(request, answer)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        if is_secure:
            response.headers["Strict-Transport-Security"] = f"max-age={_YEAR_SECONDS}"
        asked_language = find_language(request.query_params.get(COOKIE))
        if asked_language is not None and request.method == "GET":
            cookies.keep_language(response, asked_language.code)
        return response

    async def _answered(self, request: Request, answer: Callable[[], Awaitable[Response]]) -> Response:
        try:
            return await answer()
        except SessionEnded:
            return self._signed_out(request)
        except Unavailable as error:
            return self._unavailable(request, error)
        except Answer as error:
            return self.message(request, messages.too_large, error.status)
        except Refused as error:
            return _refused(Visit(self.language(request)), error)
        except Exception:
            _log.exception("request_failed", method=request.method)
            message = messages.failed(self.language(request), request_id(request.scope))
            return HTMLResponse(render_page("message.html", Visit(self.language(request)), view=message), 500)

    def _unavailable(self, request: Request, error: Unavailable) -> Response:
        _log.warning("unavailable", code=error.code, reason=error.detail)
        response = self.message(request, messages.unavailable, 503)
        response.headers["Retry-After"] = str(error.retry_after)
        return response

    def _signed_out(self, request: Request) -> Response:
        """To the sign-in, and back from there to the page; of a form only the page before it."""
        had_session = bool(cookies.session_text(request))
        query = {"ended": "1"} if had_session else {}
        here = here_of(request)
        if here and here.startswith(PATH) and here != PATH:
            query["next"] = here
        url = f"{PATH}sign-in/"
        response = RedirectResponse(f"{url}?{urlencode(query)}" if query else url, 303)
        if had_session:
            cookies.drop_session(response)
        return response


def _refused(visit: Visit, error: Refused) -> Response:
    """What no page of its own tells."""
    language = visit.language
    if isinstance(error, Forbidden):
        message, status = messages.forbidden(language), 403
    elif isinstance(error, NotFound):
        message, status = messages.gone(language, PATH, language.gettext("To the console")), 404
    else:
        status = 429 if isinstance(error, Throttled) else 400
        message = Message(
            language.gettext("Not done"),
            (messages.error_text(language, error),),
            PATH,
            language.gettext("To the console"),
        )
    response = HTMLResponse(render_page("message.html", visit, view=message), status)
    if isinstance(error, Throttled):
        response.headers["Retry-After"] = str(error.retry_after)
    return response


async def send_asset(request: Request) -> Response:
    """A file that the pages load: what its name stands for never changes."""
    asset = find_asset(request.path_params["name"])
    if asset is None:
        return Response("Not found.", 404, media_type="text/plain")
    headers = {"Cache-Control": "public, max-age=31536000, immutable"}
    return Response(asset.content, headers=headers, media_type=asset.content_type)
