"""Whether a page of another site has sent a request (OWASP ASVS 5.0, 3.5.1 to 3.5.3)."""

from enum import Enum

from starlette.requests import Request


class Sender(Enum):
    """Who has sent a request, as far as the browser tells."""

    OWN = "own"
    OTHER_SITE = "other site"
    UNKNOWN = "unknown"


def read_sender(request: Request, public_url: str | None) -> Sender:
    """By Sec-Fetch-Site, which no page can set; else by Origin, where the browser sends neither UNKNOWN.

    `Origin: null` tells nothing: it stands for a page without referrer as well as for a hostile frame.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return Sender.OWN if site in ("same-origin", "none") else Sender.OTHER_SITE
    origin = request.headers.get("origin", "null")
    if origin == "null":
        return Sender.UNKNOWN
    if public_url is not None and f"{public_url}/".startswith(f"{origin}/"):
        return Sender.OWN
    is_own = origin.partition("://")[2] == request.headers.get("host")
    return Sender.OWN if is_own else Sender.OTHER_SITE
