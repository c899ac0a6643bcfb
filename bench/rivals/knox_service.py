"""django-rest-knox: its token authentication in front of a trivial view, on an SQLite file.

`python -m bench.rivals.knox_service` makes the tables and prints a token. The packages are not locked,
hence imported by name: who does not measure this section does not need them.
"""

import os
from importlib import import_module
from typing import Any, Final

FILE_VARIABLE: Final = "BENCH_KNOX_FILE"


def _set_up() -> None:
    import_module("django.conf").settings.configure(
        SECRET_KEY="bench",
        DEBUG=False,
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        USE_TZ=True,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "rest_framework", "knox"],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": os.environ[FILE_VARIABLE],
                "CONN_MAX_AGE": None,
            }
        },
        REST_FRAMEWORK={
            "DEFAULT_AUTHENTICATION_CLASSES": ["knox.auth.TokenAuthentication"],
            "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
            "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        },
    )
    import_module("django").setup()


_set_up()
_rest: Final[Any] = import_module("rest_framework.decorators")
_response: Final[Any] = import_module("rest_framework.response").Response


def _verify(request: Any) -> Any:
    return _response(headers={"X-Auth-User": request.user.get_username()})


urlpatterns: Final = [
    import_module("django.urls").path("api/auth/verify/", _rest.api_view(["GET"])(_verify)),
]
application: Final = import_module("django.core.wsgi").get_wsgi_application()


def main() -> None:
    """Make the tables and a token, and print it."""
    import_module("django.core.management").call_command("migrate", verbosity=0)
    users = import_module("django.contrib.auth").get_user_model().objects
    user = users.create_user("0123456789ab@example.com", password="a password")
    print(import_module("knox.models").AuthToken.objects.create(user)[1])


if __name__ == "__main__":
    main()
