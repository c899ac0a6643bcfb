"""Between a proxy and Nightlatch: remembers what the proxy asks, and can answer as a broken service would."""

import socket

from tests.proxies.wire import Heard, Listener, read_head


class Relay(Listener):
    """Hands each request on to Nightlatch, byte for byte but for the body that none may have."""

    def __init__(self, nightlatch_port: int) -> None:
        self._nightlatch_port = nightlatch_port
        self.answer: bytes | None = None
        """What is said instead of asking Nightlatch, and the connection closed; b"" says nothing."""
        super().__init__()

    def serve(self, connection: socket.socket) -> None:
        """Ask Nightlatch, or give the answer that was set."""
        received = b""
        while read := read_head(connection, received):
            heard, received = read
            self.heard.append(heard)
            if self.answer is not None:
                connection.sendall(self.answer)
                return
            connection.sendall(self._asked(heard))

    def _asked(self, heard: Heard) -> bytes:
        head = f"{heard.method} {heard.target} HTTP/1.1\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in heard.headers)
        with socket.create_connection(("127.0.0.1", self._nightlatch_port), timeout=20) as nightlatch:
            nightlatch.sendall(head.encode("latin-1") + b"\r\n")
            received = b""
            while not _whole(received, heard.method):
                chunk = nightlatch.recv(65536)
                if not chunk:
                    raise ConnectionError("Nightlatch closed the connection")
                received += chunk
            return received


def _whole(received: bytes, method: str) -> bool:
    head, separator, body = received.partition(b"\r\n\r\n")
    if not separator:
        return False
    pairs = [line.partition(b":") for line in head.lower().split(b"\r\n")]
    lengths = [int(value) for name, _, value in pairs if name == b"content-length"]
    return method == "HEAD" or len(body) >= lengths[0]
