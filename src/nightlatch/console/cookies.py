"""The console's cookies: the session, the organizations that were signed in to, the language.

All of them `__Host-`: a browser sends them to this host only, over HTTPS only (or to its own machine), and
takes them from nobody else (RFC 6265bis, section 4.1.3.2; OWASP ASVS 5.0, 3.3.1 to 3.3.4).
"""

import base64
import json
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from nightlatch.model.names import OrganizationId, is_organization_id
from nightlatch.model.records import OrganizationSummary
from nightlatch.model.secret import Secret

SESSION: Final = "__Host-nightlatch-session"
ORGANIZATIONS: Final = "__Host-nightlatch-organizations"
LANGUAGE: Final = "__Host-nightlatch-language"
ORGANIZATIONS_MAX: Final = 5
NAME_CHARACTERS_MAX: Final = 60
_REMEMBERED_SECONDS: Final = 400 * 24 * 3600
"""As long as browsers keep a cookie at most."""


def session_text(request: Request) -> str:
    """What should spell a session's secret; empty where there is none."""
    return _read(request, SESSION)


def keep_session(response: Response, secret: Secret) -> None:
    """Give the browser the session, until it is closed or the session ends."""
    response.set_cookie(SESSION, secret.reveal(), secure=True, httponly=True, samesite="lax", path="/")


def drop_session(response: Response) -> None:
    """Take it away, with whatever the browser keeps of the pages."""
    response.delete_cookie(SESSION, secure=True, httponly=True, samesite="lax", path="/")
    response.headers["Clear-Site-Data"] = '"cache"'


def organizations(request: Request) -> tuple[OrganizationSummary, ...]:
    """The organizations that this browser has signed in to, the latest first.

    It is the browser that says so: they are shown to nobody else, and what is malformed counts as not there.
    """
    try:
        pairs = json.loads(base64.urlsafe_b64decode(_read(request, ORGANIZATIONS) + "=="))
        found = [OrganizationSummary(OrganizationId(each["id"]), str(each["name"])) for each in pairs]
    except (ValueError, TypeError, KeyError, RecursionError):
        return ()
    return tuple(each for each in found if isinstance(each.id, str) and is_organization_id(each.id))[
        :ORGANIZATIONS_MAX
    ]


def keep_organization(response: Response, request: Request, organization: OrganizationSummary) -> None:
    """Remember it as the latest."""
    others = [each for each in organizations(request) if each.id != organization.id]
    kept = [
        {"id": each.id, "name": each.name[:NAME_CHARACTERS_MAX]}
        for each in [organization, *others][:ORGANIZATIONS_MAX]
    ]
    # Without padding, for whose sake the value would be quoted.
    value = base64.urlsafe_b64encode(json.dumps(kept).encode()).rstrip(b"=")
    _keep(response, ORGANIZATIONS, value.decode())


def chosen_language(request: Request) -> str | None:
    """The code of the language that was chosen before."""
    return _read(request, LANGUAGE) or None


def keep_language(response: Response, code: str) -> None:
    """Remember it."""
    _keep(response, LANGUAGE, code)


def _read(request: Request, name: str) -> str:
    """The cookie's value; empty where there is none.

    By the letter of RFC 6265, and only if there is one: a browser guards the prefix of exactly this name, and
    would take a name with a space of Unicode before it, or another path, from a neighbouring host.
    """
    pairs = [
        pair.partition("=") for header in request.headers.getlist("cookie") for pair in header.split(";")
    ]
    values = [value.strip(" \t") for key, _, value in pairs if key.strip(" \t") == name]
    return values[0] if len(values) == 1 else ""


def _keep(response: Response, name: str, value: str) -> None:
    response.set_cookie(
        name, value, max_age=_REMEMBERED_SECONDS, secure=True, httponly=True, samesite="lax", path="/"
    )
