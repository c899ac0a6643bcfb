"""The assets API in Django REST framework, guarded by Nightlatch: `python with_drf.py [PORT]`.

back_end.py says whom it asks. In place of `nightlatch.middleware.drf.TokenAuthentication` there could stand
`knox.auth.TokenAuthentication`: the views would not notice, but for `request.auth`.
"""

import sys
from typing import Any

import django
from assets import ASSETS_MAX, Assets, Refusal, add, found, title_in
from back_end import back_end
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.urls import path
from granian import Granian
from granian.constants import Interfaces

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        INSTALLED_APPS=["rest_framework"],
        MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
        NIGHTLATCH={"BACK_END": back_end()},
        REST_FRAMEWORK={
            "DEFAULT_AUTHENTICATION_CLASSES": ["nightlatch.middleware.drf.TokenAuthentication"],
            # Also that the token is of the organization in the path: its parameter is called organization_id.
            "DEFAULT_PERMISSION_CLASSES": ["nightlatch.middleware.drf.InOrganization"],
            "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
            "UNAUTHENTICATED_USER": None,
        },
    )
    django.setup()

from rest_framework.exceptions import APIException
from rest_framework.response import Response
from rest_framework.views import APIView

organizations: dict[str, Assets] = {}


class AssetView(APIView):
    def handle_exception(self, error: Exception) -> Any:
        if isinstance(error, Refusal):
            refused = APIException(error.detail)
            refused.status_code = error.status_code
            error = refused
        return super().handle_exception(error)

    @property
    def assets(self) -> Assets:
        return organizations.setdefault(self.request.auth.organization_id, {})


class EveryAsset(AssetView):
    def get(self, request: Any, organization_id: str) -> Any:
        return Response({"count": len(self.assets), "results": list(self.assets.values())})

    def post(self, request: Any, organization_id: str) -> Any:
        title = title_in(request.stream.read() if request.stream else b"")
        if len(self.assets) >= ASSETS_MAX:
            raise Refusal(403, f"An organization has at most {ASSETS_MAX} assets.")
        return Response(add(self.assets, title, request.user.email), 201)


class OneAsset(AssetView):
    def get(self, request: Any, organization_id: str, asset_id: str) -> Any:
        return Response(found(self.assets, asset_id))

    def delete(self, request: Any, organization_id: str, asset_id: str) -> Any:
        del self.assets[found(self.assets, asset_id)["id"]]
        return Response(status=204)


urlpatterns = [
    path("api/v1/<organization_id>/assets/", EveryAsset.as_view()),
    path("api/v1/<organization_id>/assets/<asset_id>/", OneAsset.as_view()),
]
api = get_wsgi_application()

if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 9000
    # One worker: the records are in its memory.
    Granian("with_drf:api", address="127.0.0.1", port=port, interface=Interfaces.WSGI).serve()
