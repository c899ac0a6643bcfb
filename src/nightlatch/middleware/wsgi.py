"""WSGI: in front of an application, whatever it is built with.

    application = AuthMiddleware(application, OverHttp("https://auth.example.com"))

Behind it `environ["nightlatch.caller"]` is the `Caller`, and `REMOTE_USER` the e-mail address. Without one
nothing is let through but `public_paths`; what answers CORS preflights belongs in front.
"""

from collections.abc import Callable, Collection, Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from nightlatch.middleware.blocking import Blocking
from nightlatch.middleware.public import public_names
from nightlatch.middleware.question import BackEnd, Question
from nightlatch.middleware.refusal import Refusal

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

CALLER = "nightlatch.caller"


class AuthMiddleware:
    """Lets requests through to `application` that carry a live token.

    `organization_of` tells from the environ of which organization the token must be, None: of any.
    `public_paths` are let through without asking: `PATH_INFO`, exactly.
    """

    def __init__(
        self,
        application: Application,
        back_end: BackEnd,
        *,
        organization_of: Callable[[Environ], str | None] | None = None,
        public_paths: Collection[str] = (),
    ) -> None:
        self._application = application
        self._asking = Blocking(back_end)
        self._organization_of = organization_of
        self._public_paths = public_names(public_paths, "public_paths")

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """What the server calls."""
        if environ.get("PATH_INFO", "") in self._public_paths:
            return self._application(environ, start_response)
        organization_id = self._organization_of(environ) if self._organization_of else None
        try:
            caller = self._asking.ask(question_about(environ, organization_id))
        except Refusal as refusal:
            return _refuse(refusal, start_response)
        environ[CALLER] = caller
        environ["REMOTE_USER"] = caller.email
        return self._application(environ, start_response)


def question_about(environ: Environ, organization_id: str | None) -> Question:
    """What is to be asked about the request.

    The target is made from the decoded path that the application acts upon: WSGI has no other, and what some
    servers add may be a whole URL. Several Authorization headers the server has joined by a comma.
    """
    path = quote((environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")).encode("latin-1"))
    query = environ.get("QUERY_STRING", "")
    return Question(
        environ.get("HTTP_AUTHORIZATION", "").encode("latin-1", "replace"),
        environ.get("REMOTE_ADDR", ""),
        organization_id,
        environ["REQUEST_METHOD"],
        f"{path}?{query}" if query else path,
        environ.get("HTTP_ORIGIN"),
    )


def _refuse(refusal: Refusal, start_response: StartResponse) -> Iterable[bytes]:
    body = refusal.body
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **refusal.headers}
    start_response(f"{refusal.status} {HTTPStatus(refusal.status).phrase}", list(headers.items()))
    return [body]
