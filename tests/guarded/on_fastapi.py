"""FastAPI, with the dependency."""

from typing import Annotated, Any

from fastapi import Depends, FastAPI, WebSocket

from nightlatch.middleware.caller import Caller
from nightlatch.middleware.fastapi import Authenticated
from tests.guarded import back_end, told

authenticated = Authenticated(back_end())
Authorized = Annotated[Caller, Depends(authenticated)]
app = FastAPI(lifespan=authenticated.lifespan)


@app.get("/who/")
@app.get("/api/v1/{organization_id}/who/")
async def who(caller: Authorized) -> dict[str, Any]:
    return told(caller)


@app.get("/public/")
async def public() -> dict[str, Any]:
    return {"caller": False}


@app.websocket("/api/v1/{organization_id}/socket/")
async def socket(websocket: WebSocket, caller: Authorized) -> None:
    await websocket.accept()
    await websocket.send_json(told(caller))
    await websocket.close()
