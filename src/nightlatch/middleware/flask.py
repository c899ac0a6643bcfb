"""Flask: every request is authenticated before its view, and `flask.g.caller` is the `Caller`.

app = Flask(__name__)
protect(app, OverHttp("https://auth.example.com"))
"""

from collections.abc import Collection
from typing import Any

from flask import Flask, Response, g, request

from nightlatch.middleware.blocking import Blocking
from nightlatch.middleware.public import public_names
from nightlatch.middleware.question import BackEnd
from nightlatch.middleware.refusal import Refusal
from nightlatch.middleware.wsgi import question_about


def protect(
    app: Flask,
    back_end: BackEnd,
    *,
    organization_parameter: str = "organization_id",
    public_endpoints: Collection[str] = (),
) -> None:
    """Refuse whatever has no live token, but for the endpoints that are named as public.

    The token must be of the organization that the path names: in its parameter `organization_parameter`. A
    CORS preflight is let through where Flask itself answers it, without the view.
    """
    asking = Blocking(back_end)
    public = public_names(public_endpoints, "public_endpoints")

    def note_organization(endpoint: str | None, values: dict[str, Any] | None) -> None:
        # First of all preprocessors: one of the application's own may take the parameter out.
        named = (values or {}).get(organization_parameter)
        g.nightlatch_organization_id = None if named is None else str(named)

    def authenticate() -> Response | None:
        if request.endpoint in public or _is_preflight():
            return None
        organization_id = g.nightlatch_organization_id
        try:
            g.caller = asking.ask(question_about(request.environ, organization_id))
        except Refusal as refusal:
            return Response(refusal.body, refusal.status, refusal.headers, content_type="application/json")
        return None

    app.url_value_preprocessors[None].insert(0, note_organization)
    app.before_request(authenticate)


def _is_preflight() -> bool:
    """Whether a browser asks if it may send a request, and no view is called for the answer."""
    return (
        request.method == "OPTIONS"
        and request.url_rule is not None
        and getattr(request.url_rule, "provide_automatic_options", False) is True
        and "Origin" in request.headers
        and "Access-Control-Request-Method" in request.headers
    )
