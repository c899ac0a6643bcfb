"""Origins (RFC 6454): scheme, host and port; and which of them a secret may go to."""

import ipaddress
from dataclasses import dataclass
from typing import Final

import httpx

from nightlatch_client.errors import PlainHttpRefused, WrongOrigin

_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Origin:
    """A scheme, a host in lower case and a port."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS.get(self.scheme) else f":{self.port}"
        return f"{self.scheme}://{host}{port}"

    @property
    def is_loopback(self) -> bool:
        """Whether it is this machine, which no network lies before (RFC 6761 section 6.3 for names)."""
        if self.host == "localhost" or self.host.endswith(".localhost"):
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def origin_of(url: httpx.URL | str) -> Origin:
    """The origin of an absolute http(s) URL. Raises ValueError for anything else."""
    # InvalidURL repeats no more than its reason.
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError(f"not a URL: {error}") from None
    if parsed.scheme not in _PORTS or not parsed.host:
        raise ValueError("not an absolute URL that begins with https://")
    if parsed.userinfo:
        raise ValueError("a URL with a username or password in it; pass these as arguments")
    return Origin(parsed.scheme, parsed.host.lower(), parsed.port or _PORTS[parsed.scheme])


def refuse_plain_http(origin: Origin, allowed: bool) -> None:
    """Raise PlainHttpRefused for http:// to another machine, unless that was allowed."""
    if origin.scheme == "http" and not allowed and not origin.is_loopback:
        raise PlainHttpRefused(
            f"{origin} is not encrypted: everybody on the way could read password and token. "
            "Use https://, or pass plain_http=True where the network itself is safe."
        )


class Destinations:
    """The origins that a token may be sent to.

    Those that were named; where none were: the service's own, and the one of the first request, as an
    API's origin often is another than its service's. A token that strays to a third origin is lost.
    """

    def __init__(self, service: Origin, named: tuple[Origin, ...] | None, plain_http: bool) -> None:
        self._named = named is not None
        self._origins = {service, *(named or ())}
        self._plain_http = plain_http
        self._first: Origin | None = None
        self._seen: tuple[str, bytes] | None = None

    def admit(self, url: httpx.URL) -> None:
        """Raise WrongOrigin or PlainHttpRefused if the token may not go there."""
        # Nearly every request goes where the last one went.
        seen = (url.scheme, url.netloc)
        if seen == self._seen:
            return
        origin = self._origin(url)
        refuse_plain_http(origin, self._plain_http)
        if origin not in self._origins and not self._named and self._first in (None, origin):
            self._first = origin
            self._origins.add(origin)
        if origin not in self._origins:
            known = ", ".join(sorted(str(one) for one in self._origins))
            raise WrongOrigin(
                f"The token is meant for {known}, and is not sent to {origin}. "
                "If it shall be, name all origins: TokenAuth(…, origins=[…])."
            )
        self._seen = seen

    def holds(self, url: httpx.URL) -> bool:
        """Whether the token may go there, without making it so."""
        return self._origin(url) in self._origins

    @staticmethod
    def _origin(url: httpx.URL) -> Origin:
        if url.scheme not in _PORTS:
            raise WrongOrigin(f"The token is not sent to URLs that begin with {url.scheme or 'nothing'}:.")
        return Origin(url.scheme, url.host.lower(), url.port or _PORTS[url.scheme])
