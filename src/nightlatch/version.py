"""Which version this is."""

from importlib.metadata import version


def server_version() -> str:
    """The version of this distribution, for example 0.1.0."""
    return version("nightlatch")
