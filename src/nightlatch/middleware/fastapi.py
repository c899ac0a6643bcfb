"""FastAPI: a dependency, which also tells the API's OpenAPI document that a token is needed.

    authenticated = Authenticated(OverHttp("https://auth.example.com"))
    app = FastAPI(lifespan=authenticated.lifespan)

    @app.get("/api/v1/{organization_id}/assets/")
    async def list_assets(caller: Annotated[Caller, Depends(authenticated)]): ...

`FastAPI(dependencies=[Depends(authenticated)])` guards every route of the application, but not its `/docs`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import HTTPException, WebSocketException
from fastapi.openapi.models import APIKey, APIKeyIn
from fastapi.requests import HTTPConnection
from fastapi.security.base import SecurityBase

from nightlatch.middleware.asgi import POLICY_VIOLATION, TRY_AGAIN_LATER, question_about
from nightlatch.middleware.asking import Asking
from nightlatch.middleware.caller import Caller
from nightlatch.middleware.question import BackEnd
from nightlatch.middleware.refusal import Refusal


class Authenticated(SecurityBase):
    """A dependency whose value is the `Caller`; who has no live token is refused.

    The token must be of the organization that the path names: in its parameter `organization_parameter`.
    Routes without that parameter take every organization's.
    """

    def __init__(self, back_end: BackEnd, *, organization_parameter: str = "organization_id") -> None:
        self.model = APIKey(
            **{"in": APIKeyIn.header},
            name="Authorization",
            description="`Token <token>`, with the token that login answered.",
        )
        self.scheme_name = "token"
        self._asking = Asking(back_end)
        self._organization_parameter = organization_parameter

    async def __call__(self, connection: HTTPConnection) -> Caller:
        """The caller. Raises what FastAPI answers 401, 403 or 503 for, and closes a WebSocket for."""
        named = connection.path_params.get(self._organization_parameter)
        organization_id = None if named is None else str(named)
        try:
            return await self._asking.ask(question_about(connection.scope, organization_id))
        except Refusal as refusal:
            if connection.scope["type"] == "websocket":
                code = TRY_AGAIN_LATER if refusal.status == 503 else POLICY_VIOLATION
                raise WebSocketException(code, refusal.sentence) from None
            raise HTTPException(refusal.status, refusal.sentence, refusal.headers) from None

    @asynccontextmanager
    async def lifespan(self, app: Any) -> AsyncIterator[None]:
        """For `FastAPI(lifespan=…)`: opens the back end before the first request, and closes it at the end.

        Without it the first request opens it. Raises CannotStart, with what helps.
        """
        await self._asking.open()
        try:
            yield
        finally:
            await self._asking.close()
