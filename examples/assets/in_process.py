"""The assets API with the verifier in its own process: `python in_process.py [PORT]`.

It works on the database of the Nightlatch servers: NIGHTLATCH_DATABASE_URL, as theirs.
"""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from assets import Caller, Refusal, build_api
from granian import Granian
from granian.constants import Interfaces
from starlette.applications import Starlette
from starlette.requests import Request

from nightlatch.verifier import TokenRejected, Unavailable, WrongOrganization, open_verifier


@asynccontextmanager
async def lifespan(api: Starlette) -> AsyncIterator[None]:
    # Here, not above: in each process of the server, and on its event loop.
    async with open_verifier(os.environ["NIGHTLATCH_DATABASE_URL"]) as verifier:
        api.state.verifier = verifier
        yield


async def identify(request: Request) -> Caller:
    # All of the Authorization headers: of two, the first alone would be somebody's choice.
    authorization = ",".join(request.headers.getlist("authorization"))
    address = request.client.host if request.client else ""
    organization_id = request.path_params["organization_id"]
    try:
        identity = await request.app.state.verifier.verify(
            authorization, address, organization_id=organization_id
        )
    except TokenRejected as error:
        raise Refusal(401, error.public, {"WWW-Authenticate": "Token"}) from None
    except WrongOrganization as error:
        raise Refusal(403, error.public) from None
    except Unavailable as error:
        raise Refusal(503, error.public, {"Retry-After": str(error.retry_after)}) from None
    return Caller(identity.organization_id, identity.email)


api = build_api(identify, lifespan=lifespan)

if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 9000
    # One worker: the records are in its memory.
    Granian("in_process:api", address="127.0.0.1", port=port, interface=Interfaces.ASGI).serve()
