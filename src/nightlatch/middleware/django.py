"""Django: middleware, which lets no view be called without a live token.

    # settings.py
    NIGHTLATCH = {"BACK_END": OverHttp("https://auth.example.com")}
    MIDDLEWARE = [..., "nightlatch.middleware.django.AuthMiddleware"]

In a view `request.caller` is the `Caller`, and `request.user` too unless `USER_OF` names another. Put it
behind `django.contrib.auth`'s middleware, which sets `request.user` as well, and behind what answers CORS
preflights.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, resolve
from django.utils.module_loading import import_string

from nightlatch.middleware.blocking import Blocking
from nightlatch.middleware.caller import Caller
from nightlatch.middleware.public import public_names
from nightlatch.middleware.question import Question
from nightlatch.middleware.refusal import Refusal, wrong_organization

NO_USER: Final = "User inactive or deleted."
"""What knox says of a token whose user may not use it."""

_NAMES: Final = {"BACK_END", "ORGANIZATION_PARAMETER", "PUBLIC_PATHS", "USER_OF"}


class Options:
    """What `settings.NIGHTLATCH` says.

    `BACK_END`: InProcess(…) or OverHttp(…). `ORGANIZATION_PARAMETER`: the parameter of a path that names
    the organization whose token it must be (`organization_id`). `PUBLIC_PATHS`: paths that the middleware
    lets through, exactly. `USER_OF`: a function, or its dotted path, from a Caller to what `request.user`
    is to be.
    """

    def __init__(self, values: dict[str, Any]) -> None:
        if unknown := values.keys() - _NAMES:
            raise ImproperlyConfigured(
                f"NIGHTLATCH: there is no {min(unknown)}; there are {', '.join(sorted(_NAMES))}"
            )
        if "BACK_END" not in values:
            raise ImproperlyConfigured(
                "NIGHTLATCH: BACK_END is missing: InProcess(database_url) or OverHttp(url)"
            )
        self.asking = Blocking(values["BACK_END"])
        self.organization_parameter: str = values.get("ORGANIZATION_PARAMETER", "organization_id")
        try:
            self.public_paths = public_names(values.get("PUBLIC_PATHS", ()), "PUBLIC_PATHS")
        except TypeError as error:
            raise ImproperlyConfigured(f"NIGHTLATCH: {error}") from None
        user_of = values.get("USER_OF")
        self.user_of: Callable[[Caller], Any] | None = (
            import_string(user_of) if isinstance(user_of, str) else user_of
        )

    def user(self, caller: Caller) -> Any:
        """What `request.user` is to be. Raises Refusal where the project knows no such user."""
        user = caller if self.user_of is None else self.user_of(caller)
        if user is None:
            raise Refusal(401, NO_USER)
        return user


@cache
def options() -> Options:
    """Those of the project, read when the first request or the middleware needs them."""
    return Options(getattr(settings, "NIGHTLATCH", {}))


def named_organization(request: HttpRequest, parameters: dict[str, Any]) -> str | None:
    """The organization that the path names, whatever other middleware has made of the view's parameters."""
    parameter = options().organization_parameter
    if parameter not in parameters:
        try:
            parameters = resolve(request.path_info, getattr(request, "urlconf", None)).kwargs
        except Resolver404:
            return None
    named = parameters.get(parameter)
    return None if named is None else str(named)


def question_about(request: HttpRequest, organization_id: str | None) -> Question:
    """What is to be asked about the request; the path is the one that Django itself acts upon."""
    return Question(
        request.META.get("HTTP_AUTHORIZATION", "").encode("latin-1", "replace"),
        request.META.get("REMOTE_ADDR", ""),
        organization_id,
        request.method or "GET",
        request.get_full_path(),
        request.META.get("HTTP_ORIGIN"),
    )


class AuthMiddleware:
    """Answers 401, 403 or 503 in the place of the view, unless the request carries a live token."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response
        self._options = options()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """What Django calls."""
        if request.path_info not in self._options.public_paths:
            try:
                caller = self._options.asking.ask(question_about(request, None))
                user = self._options.user(caller)
            except Refusal as refusal:
                return _refuse(refusal)
            request.caller = caller
            request.user = user
        return self._get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, arguments: Any, parameters: dict[str, Any]
    ) -> HttpResponse | None:
        """Refuse a token of another organization than the path names, as Django has read it for the view."""
        caller: Caller | None = getattr(request, "caller", None)
        organization_id = named_organization(request, parameters)
        if caller is not None and organization_id is not None and organization_id != caller.organization_id:
            return _refuse(wrong_organization())
        return None


def _refuse(refusal: Refusal) -> HttpResponse:
    return HttpResponse(refusal.body, "application/json", refusal.status, headers=refusal.headers)
