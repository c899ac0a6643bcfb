"""The API behind a proxy: remembers what reaches it, and answers 200 to everything."""

import socket

from tests.proxies.wire import Heard, Listener, read_head

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\napi"


class Upstream(Listener):
    """Reads a request to the end of its body, as far as its headers tell, and keeps the connection."""

    def serve(self, connection: socket.socket) -> None:
        """Answer 200."""
        received = b""
        while read := read_head(connection, received):
            heard, received = read
            body, received = _body(connection, heard, received)
            self.heard.append(Heard(heard.method, heard.target, heard.headers, body))
            connection.sendall(_ANSWER)


def _body(connection: socket.socket, heard: Heard, received: bytes) -> tuple[bytes, bytes]:
    """The body, with chunks and trailers as they were sent; and what came behind it."""
    if heard.values("transfer-encoding"):
        # Good enough for the bodies of these tests, which hold no line break of their own.
        while not (received.startswith(b"0\r\n") or b"\r\n0\r\n" in received) or received[-4:] != b"\r\n\r\n":
            received += _more(connection)
        return received, b""
    length = int("".join(heard.values("content-length")) or "0")
    while len(received) < length:
        received += _more(connection)
    return received[:length], received[length:]


def _more(connection: socket.socket) -> bytes:
    chunk = connection.recv(65536)
    if not chunk:
        raise ConnectionError("cut within a body")
    return chunk
