"""The same small API on each framework, guarded by its middleware, for a server process to load.

`/who/` and `/api/v1/<organization_id>/who/` tell who the request is from; `/public/` is nobody's.
"""

import os
from typing import Any

from nightlatch.middleware.caller import Caller
from nightlatch.middleware.in_process import InProcess
from nightlatch.middleware.over_http import OverHttp
from nightlatch.middleware.question import BackEnd

URL, DATABASE_URL = "GUARDED_URL", "GUARDED_DATABASE_URL"


def back_end() -> BackEnd:
    """As the environment says."""
    if url := os.environ.get(URL):
        return OverHttp(url)
    return InProcess(os.environ[DATABASE_URL])


def told(caller: Caller) -> dict[str, Any]:
    """What the API answers with."""
    return {
        "organization_id": caller.organization_id,
        "email": caller.email,
        "role": caller.role,
        "token_id": caller.token_id,
        "expiry": caller.expiry.timestamp() if caller.expiry else None,
    }


def named(path: str) -> str | None:
    """The organization in a path, for what has no routes of its own."""
    parts = path.split("/")
    return parts[3] if parts[1:3] == ["api", "v1"] and len(parts) > 3 else None
