"""Style sheet, script and icon: files of the package, each with its digest in its name.

What a name stands for never changes: browsers may keep it for ever.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

PATH: Final = "/console/assets/"
DIRECTORY: Final = Path(__file__).parent / "static"
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is served."""

    name: str
    """With the digest: console-0123456789abcdef.css."""
    content_type: str
    content: bytes


@cache
def _assets() -> dict[str, Asset]:
    """By the name of the file."""
    found = {}
    for file in sorted(DIRECTORY.iterdir()):
        content = file.read_bytes()
        digest = hashlib.sha256(content).hexdigest()[:16]
        found[file.name] = Asset(f"{file.stem}-{digest}{file.suffix}", _TYPES[file.suffix], content)
    return found


def asset_url(name: str) -> str:
    """Where the file of this name is served."""
    return PATH + _assets()[name].name


def find_asset(name: str) -> Asset | None:
    """The asset with this name, digest included; None: no such one, or of another version."""
    return next((each for each in _assets().values() if each.name == name), None)
