"""Pages of lists: `limit` and `offset`, and the links to the pages around."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, urlencode

from starlette.requests import Request

LIMIT_DEFAULT: Final = 100
LIMIT_MAX: Final = 1000
_HOST: Final = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}")


@dataclass(frozen=True, slots=True)
class Window:
    """Which part of a list is asked for."""

    limit: int
    offset: int


def read_window(request: Request) -> Window:
    """What `limit` and `offset` say; what is unusable counts as not given."""
    limit = _natural(_last(request, "limit"))
    offset = _natural(_last(request, "offset"))
    return Window(min(limit, LIMIT_MAX) if limit else LIMIT_DEFAULT, offset or 0)


def page_body(
    request: Request, window: Window, count: int, results: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The list's envelope."""
    following = window.offset + window.limit
    preceding = window.offset - window.limit
    return {
        "count": count,
        "next": _link(request, window.limit, following) if following < count else None,
        "previous": _link(request, window.limit, preceding) if window.offset > 0 else None,
        "results": list(results),
    }


def _last(request: Request, name: str) -> str:
    values = request.query_params.getlist(name)
    return values[-1] if values else ""


def _natural(text: str) -> int | None:
    try:
        number = int(text)
    except ValueError:
        return None
    return number if number >= 0 else None


def _link(request: Request, limit: int, offset: int) -> str:
    query = parse_qs(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
    query["limit"] = [str(limit)]
    query.pop("offset", None)
    if offset > 0:
        query["offset"] = [str(offset)]
    path = f"{request.scope['raw_path'].decode('latin-1')}?{urlencode(sorted(query.items()), doseq=True)}"
    host = request.headers.get("host", "")
    return f"{request.scope['scheme']}://{host}{path}" if _HOST.fullmatch(host) else path
