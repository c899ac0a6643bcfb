"""HTTP over a raw connection: a client library would refuse to send much of what a service must withstand."""

import contextlib
import http.client
import socket
import ssl
from dataclasses import dataclass, field
from typing import Final

from nightlatch_client.conformance.cases import Request
from nightlatch_client.origin import Origin

_SECONDS_MAX: Final = 30.0


@dataclass(frozen=True)
class Received:
    """An answer; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes = field(repr=False)


def exchange(origin: Origin, prefix: str, request: Request, context: ssl.SSLContext) -> Received:
    """Send the request on a connection of its own; its answer. Raises OSError, http.client.HTTPException."""
    pairs = list(request.headers)
    names = {name.lower() for name, _ in pairs}
    if "host" not in names:
        pairs.insert(0, ("Host", str(origin).partition("://")[2]))
    pairs.append(("Connection", "close"))
    if request.body is not None and not names & {"content-length", "transfer-encoding"}:
        pairs.append(("Content-Length", str(len(request.body))))
    head = f"{request.method} {prefix}{request.path} HTTP/1.1\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in pairs)
    with socket.create_connection((origin.host, origin.port), _SECONDS_MAX) as plain:
        connection = (
            context.wrap_socket(plain, server_hostname=origin.host) if origin.scheme == "https" else plain
        )
        with connection:
            # A body that is too large may be answered, and the connection shut, before all of it was sent.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(head.encode("latin-1") + b"\r\n" + (request.body or b""))
            with contextlib.closing(http.client.HTTPResponse(connection, method=request.method)) as response:
                response.begin()
                headers = {name.lower(): value for name, value in response.getheaders()}
                return Received(response.status, headers, response.read())
