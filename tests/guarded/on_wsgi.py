"""A plain WSGI application, behind the middleware."""

import json
from collections.abc import Iterable
from typing import Any

from nightlatch.middleware.wsgi import CALLER, AuthMiddleware
from tests.guarded import back_end, named, told


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/public/":
        answer: dict[str, Any] = {"caller": CALLER in environ}
    else:
        assert environ["REMOTE_USER"] == environ[CALLER].email
        answer = told(environ[CALLER])
    body = json.dumps(answer).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


app = AuthMiddleware(
    application,
    back_end(),
    organization_of=lambda environ: named(environ["PATH_INFO"]),
    public_paths=["/public/"],
)
