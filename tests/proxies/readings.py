"""What an API may take a request for: every path it may decode, every header it may read as identity."""

import posixpath
import re
from collections.abc import Iterator
from urllib.parse import unquote

from tests.proxies.wire import Heard

IDENTITY = ("X-Auth-Organization", "X-Auth-User", "X-Auth-Role", "X-Auth-Token-Id", "X-Auth-Expiry")
_DECODED_TIMES = 3


def paths(target: str) -> set[str]:
    """The paths that some API could make of a target, by decoding and tidying it in any order."""
    found: set[str] = set()
    path = target.partition("?")[0]
    for _ in range(_DECODED_TIMES + 1):
        found.update(_tidied(path))
        path = unquote(path, encoding="latin-1")
    return found


def _tidied(path: str) -> Iterator[str]:
    for slashed in (path, path.replace("\\", "/")):
        for cut in (slashed, re.split(r"[\x00#?]", slashed)[0]):
            for plain in (cut, re.sub(r";[^/]*", "", cut), re.sub(r"\s", "", cut)):
                yield plain
                yield re.sub("/+", "/", plain)
                yield posixpath.normpath(re.sub("/+", "/", plain))


def organizations(target: str) -> set[str]:
    """Whose data some API could take a target for; "" where it is outside of /api/v1/."""
    found = set()
    for path in paths(target):
        match = re.match(r"/api/v1/([^/]*)", path)
        found.add(match[1] if match else "")
    return found


def identity(heard: Heard) -> dict[str, list[str]]:
    """Headers that some API could read as identity: their names as CGI, WSGI and PHP make them one."""
    found: dict[str, list[str]] = {}
    for name, value in heard.headers:
        plain = re.sub(r"[^a-z0-9]", "-", name.strip().lower())
        if (plain.startswith("x-auth-") or plain == "x-organization-id") and value:
            found.setdefault(plain, []).append(value)
    return found
