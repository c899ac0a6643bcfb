"""Mail: what is sent to whom, by which server, and from whom."""

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final
from urllib.parse import unquote, urlsplit

from nightlatch.model.names import Email, OrganizationId

PORTS: Final = {"smtps": 465, "smtp": 587}
"""Where none is named (RFC 8314, section 3.3)."""

_ATOM: Final = r"[^\s()<>\[\]:;@\\,.\"\x00-\x1f\x7f]+"
_LABEL: Final = r"(?:[a-zA-Z0-9-]|[^\x00-\x7f\s])+"
_ADDRESS: Final = re.compile(rf"({_ATOM}(?:\.{_ATOM})*)@({_LABEL}(?:\.{_LABEL})*)")
_HOST: Final = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?")
_SENDER: Final = re.compile(r"(?P<name>[^<>\"]*)<(?P<address>[^<>]*)>")
_SERVER_EXPECTED: Final = (
    "expected smtps://USER:PASSWORD@HOST:465 or smtp://USER:PASSWORD@HOST:587, in ASCII, "
    "with characters such as / and @ in user and password percent-encoded; both or none of them"
)
_SENDER_EXPECTED: Final = (
    "expected an address in ASCII such as auth@example.com, or with a name: Example <auth@example.com>"
)


@dataclass(frozen=True, slots=True)
class Mail:
    """A plain text to one address; the subject is one line."""

    organization_id: OrganizationId
    """In whose name: so many mails each may cause in a time."""
    recipient: Email
    subject: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class MailServer:
    """A server that takes mail to be sent; `user` is empty where nobody logs in."""

    host: str
    port: int
    is_tls: bool
    """From the first byte; else by STARTTLS."""
    user: str
    password: str = field(repr=False)

    @property
    def is_local(self) -> bool:
        """Whether the way to it is inside of this machine, where nobody else listens."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


@dataclass(frozen=True, slots=True)
class Sender:
    """Whom mail is from."""

    name: str
    address: str


def parse_mail_server(text: str) -> MailServer:
    """The server that a URL names; raises ValueError, which says what is expected, and nothing of the URL."""
    try:
        # A newline or tab in it urlsplit() would pass over.
        parts = urlsplit(text if text.isascii() and text.isprintable() else "")
        port, host = parts.port, parts.hostname or ""
    except ValueError:
        raise ValueError(_SERVER_EXPECTED) from None
    login, user, password = parts.netloc.rpartition("@")[0], parts.username, parts.password
    user, password = unquote(user or ""), unquote(password or "")
    right = (
        parts.scheme in PORTS
        and port != 0
        and _is_host(host)
        and parts.path in ("", "/")
        and not (parts.query or parts.fragment or "@" in login)
        and bool(user) == bool(password)
        and all(part.isascii() and part.isprintable() for part in (user, password))
    )
    if not right:
        raise ValueError(_SERVER_EXPECTED)
    return MailServer(host, port or PORTS[parts.scheme], parts.scheme == "smtps", user, password)


def parse_sender(text: str) -> Sender:
    """Address and name that mail is from; raises ValueError, which says what is expected."""
    match = _SENDER.fullmatch(text.strip())
    name, address = (match["name"].strip(), match["address"]) if match else ("", text.strip())
    if not address.isascii() or split_address(address) is None or not name.isprintable():
        raise ValueError(_SENDER_EXPECTED)
    return Sender(name, address)


def split_address(address: str) -> tuple[str, str] | None:
    """The parts before and after the @ of an address that mail can be sent to; None for any other.

    Stricter than what may name a user: nothing in it has a meaning in a list of addresses, so that it can be
    read as one address only (RFC 5322, section 3.4.1: a dot-atom on both sides; RFC 6532 beyond ASCII).
    """
    match = _ADDRESS.fullmatch(address)
    # What looks like an encoded word (RFC 2047), the standard library would decode in a header.
    right = match is not None and address.isprintable() and "=?" not in address
    return (match[1], match[2]) if match is not None and right else None


def _is_host(host: str) -> bool:
    try:
        return bool(ip_address(host))
    except ValueError:
        return _HOST.fullmatch(host) is not None
