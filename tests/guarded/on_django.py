"""Django, behind its middleware."""

from typing import Any

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

from tests.guarded import back_end, told


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
    MIDDLEWARE=[
        "django.middleware.common.CommonMiddleware",
        f"{__name__}.TakeOut",
        "nightlatch.middleware.django.AuthMiddleware",
    ],
    NIGHTLATCH={"BACK_END": back_end(), "PUBLIC_PATHS": ["/public/"]},
)
django.setup()


def who(request: Any, organization_id: str | None = None) -> JsonResponse:
    assert request.user == request.caller
    return JsonResponse(told(request.caller))


def public(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"caller": hasattr(request, "caller")})


urlpatterns = [
    path("who/", who),
    path("api/v1/<organization_id>/who/", who),
    path("taken/out/<organization_id>/who/", who),
    path("public/", public),
]
app = get_wsgi_application()
