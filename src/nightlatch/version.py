"""Which version this is."""

from functools import cache
from importlib.metadata import version


@cache  # read from a file: health must not need one when there are no descriptors left
def server_version() -> str:
    """The version of this distribution, for example 0.1.0."""
    return version("nightlatch")


def is_newer(version: str) -> bool:
    """Whether that version is later than this server's."""
    return _numbers(version) > _numbers(server_version())


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
