"""HTTP over raw sockets: every byte is the test's, and nothing is hidden by a client library."""

import json
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

SECONDS_MAX = 20.0


@dataclass(frozen=True)
class Reply:
    """An answer; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON, or "" where there is none."""
        return json.loads(self.body) if self.body else ""


def request_bytes(
    method: str,
    target: str,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes | None = None,
    host: str = "testserver",
) -> bytes:
    """A request as it goes over the wire; Host, Connection and Content-Length are added if missing."""
    pairs = list(headers)
    names = {name.lower() for name, _ in pairs}
    if "host" not in names:
        pairs.insert(0, ("Host", host))
    if "connection" not in names:
        pairs.append(("Connection", "close"))
    if body is not None and not names & {"content-length", "transfer-encoding"}:
        pairs.append(("Content-Length", str(len(body))))
    head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in pairs)
    return head.encode("latin-1") + b"\r\n" + (body or b"")


def send(port: int, request: bytes, seconds: float = SECONDS_MAX) -> bytes:
    """Everything that the server sends until it closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        connection.sendall(request)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
        return received


def parse(received: bytes) -> Reply:
    """The last answer in what was received (100 Continue may come before it)."""
    while True:
        head, _, rest = received.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ")[1])
        if status != 100:
            break
        received = rest
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return Reply(status, headers, rest)


def exchange(
    port: int,
    method: str,
    target: str,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes | None = None,
    seconds: float = SECONDS_MAX,
) -> Reply:
    """One request on a connection of its own."""
    return parse(send(port, request_bytes(method, target, headers, body), seconds))


def post_json(port: int, target: str, data: Any, headers: Iterable[tuple[str, str]] = ()) -> Reply:
    """A POST with a JSON body."""
    return exchange(
        port, "POST", target, [("Content-Type", "application/json"), *headers], json.dumps(data).encode()
    )


def with_token(token: str) -> list[tuple[str, str]]:
    """The header of a request that uses a token."""
    return [("Authorization", f"Token {token}")]
