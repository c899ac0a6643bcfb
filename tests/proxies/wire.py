"""HTTP/1.1 requests as they stand on the wire, read without tidying them up."""

import socket
import threading
from contextlib import suppress
from dataclasses import dataclass


@dataclass(frozen=True)
class Heard:
    """A request: its target and its headers as they were sent, and everything behind the headers."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    rest: bytes = b""

    def values(self, name: str) -> list[str]:
        """Of each header of that name, in any case."""
        return [value for sent, value in self.headers if sent.lower() == name.lower()]


def read_head(connection: socket.socket, received: bytes) -> tuple[Heard, bytes] | None:
    """The next request's head and what came behind it; None when the connection ends before."""
    while b"\r\n\r\n" not in received:
        chunk = connection.recv(65536)
        if not chunk:
            return None
        received += chunk
    head, _, rest = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    pairs = [line.partition(":") for line in lines]
    return Heard(method, target, tuple((name, value.strip()) for name, _, value in pairs)), rest


def first_answer(port: int, request: bytes, seconds: float) -> bytes:
    """The first answer to what is sent, or what comes of it; a proxy that lingers is not waited for."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        connection.sendall(request)
        received = b""
        while not _whole(received, request.startswith(b"HEAD ")):
            chunk = connection.recv(65536)
            if not chunk:
                break
            received += chunk
        return received


def _whole(received: bytes, headers_only: bool) -> bool:
    head, separator, body = received.partition(b"\r\n\r\n")
    pairs = [line.partition(b":") for line in head.lower().split(b"\r\n")]
    lengths = [int(value) for name, _, value in pairs if name == b"content-length"]
    return bool(separator) and (headers_only or (bool(lengths) and len(body) >= lengths[0]))


class Listener:
    """Accepts connections on a port of its own, has each one served in a thread, and keeps what is heard."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._socket.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def serve(self, connection: socket.socket) -> None:
        """Answer what comes on a connection, to its end, and put it into `heard`."""
        raise NotImplementedError

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with self._lock:
                self._open.add(connection)
            threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection: socket.socket) -> None:
        try:
            with connection:
                self.serve(connection)
        except OSError:
            pass  # the other side is gone, or close() was called
        finally:
            with self._lock:
                self._open.discard(connection)

    def take(self) -> list[Heard]:
        """What has been heard since the last call."""
        heard, self.heard = self.heard, []
        return heard

    def close(self) -> None:
        """Refuse connections from now on, and cut those that are open."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        with self._lock:
            for connection in self._open:
                with suppress(OSError):  # the other side may have gone just now
                    connection.shutdown(socket.SHUT_RDWR)
