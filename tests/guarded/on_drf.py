"""Django REST framework, with the authentication class and permissions."""

from types import SimpleNamespace
from typing import Any

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.urls import path

from nightlatch.middleware.caller import Caller
from tests.guarded import back_end, told


def project_user(caller: Caller) -> Any:
    """Stands for the project's own user model."""
    return SimpleNamespace(is_authenticated=True, pk=7, username=caller.email)


class TakeOut:
    """In front of everything: takes the parameter that all views have out."""

    def __init__(self, get_response: Any) -> None:
        self._get_response = get_response

    def __call__(self, request: Any) -> Any:
        return self._get_response(request)

    def process_view(self, request: Any, view: Any, arguments: Any, parameters: dict[str, Any]) -> None:
        if request.path_info.startswith("/taken/out/"):
            parameters.pop("organization_id")


settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["rest_framework"],
    MIDDLEWARE=["django.middleware.common.CommonMiddleware", f"{__name__}.TakeOut"],
    NIGHTLATCH={"BACK_END": back_end(), "USER_OF": project_user},
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": ["nightlatch.middleware.drf.TokenAuthentication"],
        "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "UNAUTHENTICATED_USER": None,
    },
)
django.setup()

from rest_framework.permissions import AllowAny  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402

from nightlatch.middleware.drf import InOrganization, IsOwner  # noqa: E402


class Who(APIView):  # type: ignore[misc]
    def get(self, request: Any, organization_id: str | None = None) -> Any:
        assert request.user.username == request.auth.email
        return Response(told(request.auth))


class WhoInOrganization(Who):
    permission_classes = (InOrganization,)


class WhoOwns(Who):
    permission_classes = (IsOwner,)


class Public(APIView):  # type: ignore[misc]
    permission_classes = (AllowAny,)

    def get(self, request: Any) -> Any:
        return Response({"caller": request.auth is not None})


urlpatterns = [
    path("who/", Who.as_view()),
    path("api/v1/<organization_id>/who/", Who.as_view()),
    path("in/<organization_id>/", WhoInOrganization.as_view()),
    path("nowhere/", WhoInOrganization.as_view()),
    path("owner/", WhoOwns.as_view()),
    path("taken/out/<organization_id>/who/", Who.as_view()),
    path("public/", Public.as_view()),
]
app = get_wsgi_application()
