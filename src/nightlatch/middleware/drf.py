"""Django REST framework: an authentication class in the place of knox's, and permissions.

    # settings.py
    NIGHTLATCH = {"BACK_END": OverHttp("https://auth.example.com")}
    REST_FRAMEWORK = {
        "DEFAULT_AUTHENTICATION_CLASSES": ["nightlatch.middleware.drf.TokenAuthentication"],
        "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    }

`request.auth` is the `Caller`; `request.user` too, unless `USER_OF` names the project's own user. The
options are those of nightlatch.middleware.django; its middleware is not needed.
"""

from typing import Any

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException, AuthenticationFailed, PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from nightlatch.middleware.caller import Caller
from nightlatch.middleware.django import named_organization, options, question_about
from nightlatch.middleware.refusal import Refusal


class CannotTell(APIException):  # type: ignore[misc]
    """503: whether the token is live cannot be known at the moment."""

    status_code = 503
    default_code = "unavailable"

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.sentence)
        self.wait = refusal.retry_after
        """Becomes Retry-After."""


class TokenAuthentication(BaseAuthentication):  # type: ignore[misc]
    """Whose token it is. A header of another scheme, or none, is left to other classes, as with knox.

    The token must be of the organization that the path names: in its parameter `ORGANIZATION_PARAMETER`.
    """

    def authenticate(self, request: Request) -> tuple[Any, Caller] | None:
        """User and caller. Raises what is answered 401, 403 or 503."""
        authorization = request.META.get("HTTP_AUTHORIZATION", "").split()
        if not authorization or authorization[0].lower() != "token":
            return None
        parameters = (request.parser_context or {}).get("kwargs", {})
        organization_id = named_organization(request._request, parameters)
        try:
            caller = options().asking.ask(question_about(request._request, organization_id))
            return options().user(caller), caller
        except Refusal as refusal:
            if refusal.status == 401:
                raise AuthenticationFailed(refusal.sentence) from None
            if refusal.status == 403:
                raise PermissionDenied(refusal.sentence) from None
            raise CannotTell(refusal) from None

    def authenticate_header(self, request: Request) -> str:
        """Of a 401, as the contract has it."""
        return "Token"


class IsOwner(BasePermission):  # type: ignore[misc]
    """An owner of their organization."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whether the token is an owner's."""
        return isinstance(request.auth, Caller) and request.auth.is_owner


class InOrganization(BasePermission):  # type: ignore[misc]
    """Someone of the organization that the path names; of a path that names none, nobody."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whether the token is of the view's organization."""
        organization_id = named_organization(request._request, view.kwargs)
        return isinstance(request.auth, Caller) and request.auth.organization_id == organization_id
