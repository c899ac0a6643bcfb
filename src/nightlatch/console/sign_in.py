"""GET and POST /console/sign-in/, POST /console/sign-out/"""

import re
from typing import Final
from urllib.parse import urlencode

import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from nightlatch.console import PATH, cookies
from nightlatch.console.asked import Asked, read_fields
from nightlatch.console.site import Site
from nightlatch.console.views import messages
from nightlatch.console.views.sign_in import RememberedOrganization, SignIn, SignInNotice
from nightlatch.edge.origin import read_origin
from nightlatch.model.errors import CredentialsRejected, SessionEnded, Throttled
from nightlatch.model.origin import Origin
from nightlatch.model.records import OrganizationSummary
from nightlatch.usecases.check_password import Credentials
from nightlatch.usecases.find_session import find_session
from nightlatch.usecases.sign_in import sign_in
from nightlatch.usecases.sign_out import sign_out

_log = structlog.get_logger("nightlatch")

FIRST_PAGE: Final = f"{PATH}tokens/"
_ARRIVED: Final = f"{PATH}arrived/"
_OURS: Final = re.compile(rf"{PATH}([0-9A-Za-z-]+/)*(\?[!-~]*)?")


async def show_sign_in(site: Site, request: Request) -> Response:
    """The form; who is signed in already goes on."""
    following = _following(request.query_params.get("next", ""))
    if cookies.session_text(request):
        try:
            await find_session(site.services, cookies.session_text(request))
        except SessionEnded:
            pass
        else:
            return RedirectResponse(following, 303)
    notice = SignInNotice.NONE
    for each in SignInNotice:
        if each.value and each.value in request.query_params:
            notice = each
    remembered = _remembered(request)
    view = SignIn(
        username=request.query_params.get("username", ""),
        organization_id=request.query_params.get("organization_id", ""),
        remembered=remembered,
        next="" if following == FIRST_PAGE else following,
        notice=notice,
    )
    return site.page(request, "sign_in.html", view)


async def send_sign_in(site: Site, request: Request) -> Response:
    """Check the password, begin a session, and go on to the page that was asked for."""
    fields = {name: values[-1] for name, values in (await read_fields(request)).items()}
    organization_id = (fields.get("organization_id") or fields.get("other_organization_id", "")).strip()
    username, password = fields.get("username", "").strip(), fields.get("password", "")
    following = _following(fields.get("next", ""))
    language, origin = site.language(request), read_origin(request)

    def again(problem: str, status: int) -> Response:
        view = SignIn(
            username=username,
            organization_id=organization_id,
            remembered=_remembered(request),
            problem=problem,
            next="" if following == FIRST_PAGE else following,
        )
        return site.page(request, "sign_in.html", view, status)

    if not (username and password and organization_id):
        return again(language.gettext("Fill in e-mail address, password and organization id."), 400)
    try:
        credentials = Credentials(username, password, organization_id, origin.address)
        secret = await sign_in(site.services, credentials, origin)
    except CredentialsRejected as error:
        _log.info("sign_in_refused", reason=error.detail)
        return again(messages.error_text(language, error), 400)
    except Throttled as error:
        _log.info("sign_in_refused", code=error.code, reason=error.detail)
        response = again(messages.error_text(language, error), 429)
        response.headers["Retry-After"] = str(error.retry_after)
        return response
    await _end_former(site, request, origin)
    _log.info("signed_in", organization_id=organization_id)
    # By way of a page that looks whether the browser has kept the cookie: over plain HTTP it does not.
    response = RedirectResponse(f"{_ARRIVED}?{urlencode({'next': following})}", 303)
    cookies.keep_session(response, secret)
    return response


async def arrive(site: Site, request: Request) -> Response:
    """After the sign-in: on to the page that was asked for, if the browser has kept the session's cookie."""
    text = cookies.session_text(request)
    if not text:
        return site.message(request, messages.no_cookie, 400)
    session = await find_session(site.services, text)
    response = RedirectResponse(_following(request.query_params.get("next", "")), 303)
    organization = OrganizationSummary(session.identity.organization_id, session.organization_name)
    cookies.keep_organization(response, request, organization)
    return response


async def send_sign_out(asked: Asked) -> Response:
    """End the session, on the server and in the browser."""
    await sign_out(asked.services, asked.session, asked.origin)
    _log.info("signed_out", session_id=asked.session.id)
    response = RedirectResponse(f"{PATH}sign-in/?{SignInNotice.SIGNED_OUT.value}=1", 303)
    cookies.drop_session(response)
    return response


async def _end_former(site: Site, request: Request, origin: Origin) -> None:
    """Who signs in again goes on in the new session only (OWASP ASVS 5.0, 7.2.4)."""
    try:
        former = await find_session(site.services, cookies.session_text(request))
        await sign_out(site.services, former, origin)
    except SessionEnded:
        pass


def _remembered(request: Request) -> tuple[RememberedOrganization, ...]:
    return tuple(RememberedOrganization(each.id, each.name) for each in cookies.organizations(request))


def _following(text: str) -> str:
    """A page of ours, and of nobody else: `//`, a backslash, `..` or `%2e%2e` may lead elsewhere."""
    leads_on = not text.startswith((f"{PATH}sign-", _ARRIVED))
    return text if _OURS.fullmatch(text) and leads_on and len(text) <= 2000 else FIRST_PAGE
