"""Django REST framework, with the authentication class; as bench/rivals/knox_service.py with knox's."""

from typing import Any

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.urls import path

from bench.guarded import PATH, back_end

_asked = back_end()
_authentication = ["nightlatch.middleware.drf.TokenAuthentication"] if _asked else []
_permissions = ["rest_framework.permissions.IsAuthenticated"] if _asked else []
settings.configure(
    SECRET_KEY="bench",
    DEBUG=False,
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    INSTALLED_APPS=["rest_framework"],
    NIGHTLATCH={"BACK_END": _asked} if _asked else {},
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": _authentication,
        "DEFAULT_PERMISSION_CLASSES": _permissions,
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "UNAUTHENTICATED_USER": None,
    },
)
django.setup()

from rest_framework.decorators import api_view  # noqa: E402
from rest_framework.response import Response  # noqa: E402


def _view(request: Any) -> Any:
    return Response(headers={"X-Auth-User": request.user.get_username() if request.user else ""})


urlpatterns = [path(PATH.lstrip("/"), api_view(["GET"])(_view))]
app = get_wsgi_application()
