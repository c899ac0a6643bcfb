"""The assets API in FastAPI, guarded by Nightlatch's dependency: `python with_fastapi.py [PORT]`.

back_end.py says whom it asks. Its OpenAPI document, with the security scheme, is at /docs.
"""

import sys
from typing import Annotated, Any

from assets import ASSETS_MAX, Assets, Refusal, add, found, read_title
from back_end import back_end
from fastapi import Depends, FastAPI, Request, Response
from granian import Granian
from granian.constants import Interfaces

from nightlatch.middleware.caller import Caller
from nightlatch.middleware.fastapi import Authenticated

authenticated = Authenticated(back_end())
# Also that the token is of the organization in the path: its parameter is called organization_id.
Authorized = Annotated[Caller, Depends(authenticated)]

api = FastAPI(title="Assets", lifespan=authenticated.lifespan)
organizations: dict[str, Assets] = {}


def assets_of(caller: Caller) -> Assets:
    return organizations.setdefault(caller.organization_id, {})


@api.get("/api/v1/{organization_id}/assets/")
async def list_assets(organization_id: str, caller: Authorized) -> dict[str, Any]:
    assets = assets_of(caller)
    return {"count": len(assets), "results": list(assets.values())}


@api.post("/api/v1/{organization_id}/assets/", status_code=201)
async def create_asset(organization_id: str, caller: Authorized, request: Request) -> dict[str, str]:
    title = await read_title(request)
    assets = assets_of(caller)
    if len(assets) >= ASSETS_MAX:
        raise Refusal(403, f"An organization has at most {ASSETS_MAX} assets.")
    return add(assets, title, caller.email)


@api.get("/api/v1/{organization_id}/assets/{asset_id}/")
async def show_asset(organization_id: str, asset_id: str, caller: Authorized) -> dict[str, str]:
    return found(assets_of(caller), asset_id)


@api.delete("/api/v1/{organization_id}/assets/{asset_id}/", status_code=204)
async def delete_asset(organization_id: str, asset_id: str, caller: Authorized) -> Response:
    del assets_of(caller)[found(assets_of(caller), asset_id)["id"]]
    return Response(status_code=204)


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 9000
    # One worker: the records are in its memory.
    Granian("with_fastapi:api", address="127.0.0.1", port=port, interface=Interfaces.ASGI).serve()
