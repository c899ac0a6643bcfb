"""The assets API behind a proxy that asks Nightlatch about each request: `python behind_proxy.py [PORT]`.

The proxy sets the X-Auth-* headers in the place of what the client sent (deploy/nginx/nightlatch.conf
does). Whoever else reached this port could write them, so that it listens on this machine only.
"""

import sys
from ipaddress import ip_address
from urllib.parse import unquote

from assets import Caller, Refusal, build_api
from granian import Granian
from granian.constants import Interfaces
from starlette.requests import Request


async def identify(request: Request) -> Caller:
    if request.client is None or not ip_address(request.client.host).is_loopback:
        raise Refusal(403, "This port is for the proxy on the same machine.")
    organization_id = request.headers.getlist("x-auth-organization")
    user = request.headers.getlist("x-auth-user")
    if len(organization_id) != 1 or len(user) != 1 or not organization_id[0] or not user[0]:
        # The proxy lets nobody through without them: it was passed by, or is not set up.
        raise Refusal(401, "Authentication credentials were not provided.", {"WWW-Authenticate": "Token"})
    return Caller(organization_id[0], unquote(user[0]))


api = build_api(identify)

if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 9000
    # One worker: the records are in its memory.
    Granian("behind_proxy:api", address="127.0.0.1", port=port, interface=Interfaces.ASGI).serve()
