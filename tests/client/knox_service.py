"""A service as people have them: Django REST framework with django-rest-knox, on an SQLite file.

`python -m tests.client.knox_service FILE PORT` makes tables and a user, and serves; each login adds a line to
FILE.logins. Its login takes username, password and organization_id, as the contract has it; knox's own takes
Basic. Everything else is knox's own.
"""

import os
import sys
from importlib import import_module
from io import BytesIO
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

USERNAME = "hari@example.com"
PASSWORD = "correct horse battery"
ORGANIZATION_ID = "auhf2k"
LIMIT = 20


def _set_up(file: str) -> None:
    import_module("django.conf").settings.configure(
        SECRET_KEY="tests",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        USE_TZ=True,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "rest_framework", "knox"],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": file,
                "OPTIONS": {"timeout": 30, "transaction_mode": "IMMEDIATE"},
            }
        },
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        REST_KNOX={"TOKEN_LIMIT_PER_USER": LIMIT},
        REST_FRAMEWORK={
            "DEFAULT_AUTHENTICATION_CLASSES": ["knox.auth.TokenAuthentication"],
            "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
            "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        },
    )
    import_module("django").setup()


def _urls(logins: Path) -> list[Any]:
    rest = import_module("rest_framework.decorators")
    response = import_module("rest_framework.response").Response
    errors = import_module("rest_framework.exceptions")
    authenticate = import_module("django.contrib.auth").authenticate
    views = import_module("knox.views")
    path = import_module("django.urls").path

    class Login(views.LoginView):  # type: ignore[misc,name-defined,unused-ignore]
        authentication_classes = ()
        permission_classes = ()

        def post(self, request: Any, format: str | None = None) -> Any:  # noqa: A002
            data = request.data
            user = authenticate(username=data.get("username"), password=data.get("password"))
            if user is None or not user.groups.filter(name=data.get("organization_id")).exists():
                raise errors.ValidationError(
                    {"non_field_errors": ["Unable to log in with provided credentials."]}
                )
            request.user = user
            answer = super().post(request, format)
            if answer.status_code == 200:
                with logins.open("a") as file:
                    file.write("login\n")
            return answer

    def organizations(request: Any) -> Any:
        names = [group.name for group in request.user.groups.all()]
        rows = [{"name": name, "uuid": name} for name in names]
        return response({"count": len(rows), "next": None, "previous": None, "results": rows})

    return [
        path("api/auth/login/", Login.as_view()),
        path("api/auth/logout/", views.LogoutView.as_view()),
        path("api/auth/logoutall/", views.LogoutAllView.as_view()),
        path("api/v1/organizations/", rest.api_view(["GET", "POST"])(organizations)),
    ]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 256


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        """Say nothing."""


urlpatterns: list[Any] = []


def main() -> None:
    """Serve."""
    file, port = sys.argv[1:]
    os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    _set_up(file)
    # Imported under its package's name again by Django, which looks for the URLs there.
    sys.modules.setdefault("tests.client.knox_service", sys.modules["__main__"])
    urlpatterns.extend(_urls(Path(f"{file}.logins")))
    import_module("django.core.management").call_command("migrate", verbosity=0)
    users = import_module("django.contrib.auth").get_user_model().objects
    groups = import_module("django.contrib.auth.models").Group.objects
    if not users.exists():
        users.create_user(USERNAME, password=PASSWORD).groups.add(groups.create(name=ORGANIZATION_ID))
    django = import_module("django.core.wsgi").get_wsgi_application()

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        # Django reads no body that it does not need, and wsgiref then cuts the connection while it is sent.
        environ["wsgi.input"] = BytesIO(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
        return django(environ, start_response)

    make_server("127.0.0.1", int(port), application, _Server, _Handler).serve_forever()


if __name__ == "__main__":
    main()
