"""Mail servers for tests: one that takes mail, and ones that behave badly, all on real sockets."""

import contextlib
import email
import email.policy
import socket
import ssl
import subprocess
import threading
import time
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Literal, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, Session

from tests.postgresql import free_port

ELSEWHERE = "0.0.0.0"
"""Leads to this machine, and is no name of it: what must not go in plain text to another machine."""
USER, PASSWORD = "nightlatch", "hush / hush@hush"
LOGIN = "nightlatch:hush%20%2F%20hush%40hush"
"""The same in a URL."""


@dataclass(frozen=True)
class Certificate:
    """A certificate that vouches for itself, as PEM files."""

    file: Path
    key: Path


def make_certificate(folder: Path, name: str, names: str) -> Certificate:
    """A certificate for those names, such as `DNS:localhost`."""
    certificate = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
            "-subj", f"/CN={name}", "-addext", f"subjectAltName={names}",
            "-keyout", str(certificate.key), "-out", str(certificate.file),
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return certificate


@dataclass(frozen=True)
class Received:
    """A mail that was taken."""

    sender: str
    recipients: tuple[str, ...]
    raw: bytes
    was_encrypted: bool

    @property
    def message(self) -> EmailMessage:
        parsed = email.message_from_string(self.raw.decode(), policy=email.policy.default)
        assert isinstance(parsed, EmailMessage)
        return parsed

    @property
    def text(self) -> str:
        return str(self.message.get_content())


class ReceivingServer:
    """A mail server that keeps what it gets. `answers` replaces what it says to MAIL, RCPT or DATA."""

    def __init__(
        self,
        tls: Literal["implicit", "starttls", "none"],
        certificate: Certificate | None = None,
        login: bool = True,
        knows_unicode: bool = True,
        answers: dict[str, str] | None = None,
        port: int | None = None,
    ) -> None:
        self.mails: list[Received] = []
        self.passwords: list[bytes] = []
        self._answers = answers or {}
        self._login = login
        context = None
        if certificate is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificate.file, certificate.key)
        self.port = port or free_port()
        options: dict[str, Any] = {"enable_SMTPUTF8": knows_unicode}
        if login:
            options |= {"authenticator": self._check, "auth_require_tls": False}
        if tls == "implicit":
            options["ssl_context"] = context
        elif tls == "starttls":
            options |= {"tls_context": context, "require_starttls": True}
        self._controller = Controller(self, "127.0.0.1", self.port, **options)

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()

    def url(self, scheme: str, host: str = "localhost", login: str = LOGIN) -> str:
        return f"{scheme}://{login + '@' if self._login else ''}{host}:{self.port}"

    def _check(
        self, server: Any, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        self.passwords.append(data.password)
        right = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        # Some servers repeat what they were given.
        message = None if right else f"535 5.7.8 not {data.password.decode()}"
        return AuthResult(success=right, handled=False, message=message)

    async def handle_MAIL(  # noqa: N802
        self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if "MAIL" in self._answers:
            return self._answers["MAIL"]
        if self._login and not session.authenticated:
            return "530 5.7.0 log in"
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if "RCPT" in self._answers:
            return self._answers["RCPT"]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if "DATA" in self._answers:
            return self._answers["DATA"]
        assert isinstance(envelope.content, bytes)
        encrypted = server.transport.get_extra_info("sslcontext") is not None
        self.mails.append(
            Received(str(envelope.mail_from), tuple(envelope.rcpt_tos), envelope.content, encrypted)
        )
        return "250 OK"


class RudeServer:
    """Accepts connections and never says a whole line: nothing, or one byte after the other."""

    def __init__(self, drips: bool = False, port: int = 0) -> None:
        self._drips = drips
        self._listener = socket.create_server(("127.0.0.1", port), backlog=100)
        self.port: int = self._listener.getsockname()[1]
        self.open_now = 0
        self.open_most = 0
        self.accepted = 0
        self._lock = threading.Lock()
        self._taken: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.hang_up()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def hang_up(self) -> None:
        """End all conversations."""
        for connection in self._taken:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def wait_open(self, number: int) -> None:
        """Return when so many connections are open."""
        deadline = time.monotonic() + 10
        while self.open_now != number:
            assert time.monotonic() < deadline, self.open_now
            time.sleep(0.01)  # asked again: the connections are closed by the other side

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._taken.append(connection)
            with self._lock:
                self.accepted += 1
                self.open_now += 1
                self.open_most = max(self.open_most, self.open_now)
            threading.Thread(target=self._keep, args=(connection,), daemon=True).start()

    def _keep(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            if self._drips:
                connection.settimeout(0.02)
                connection.sendall(b"220-")
                while True:
                    with contextlib.suppress(TimeoutError):
                        if not connection.recv(1):
                            break
                    connection.sendall(b"x")
            while connection.recv(1000):
                pass
        with self._lock:
            self.open_now -= 1
