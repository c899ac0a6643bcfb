"""A link to set a password, as a command prints it."""

import ipaddress
import sys
from typing import Annotated, Any

import typer

from nightlatch.cli.duration import read_duration, write_duration
from nightlatch.cli.output import short_time
from nightlatch.model.errors import InvalidValue
from nightlatch.model.password_link import VALID_SECONDS_DEFAULT, IssuedLink
from nightlatch.model.plain_text import printable
from nightlatch.model.times import wire_time
from nightlatch.settings import Settings

ValidForOption = Annotated[
    str | None,
    typer.Option(
        "--valid-for",
        metavar="TIME",
        help="How long the link works: 24h, 90m, 3d; 30 days at most.",
        show_default=write_duration(VALID_SECONDS_DEFAULT),
    ),
]


def read_valid_for(text: str | None) -> int:
    """Seconds. Raises InvalidValue."""
    if text is None:
        return VALID_SECONDS_DEFAULT
    try:
        seconds = read_duration(text)
    except InvalidValue:
        seconds = None
    if seconds is None:
        raise InvalidValue("valid_for", "--valid-for is written as 24h, 90m, 3d or 3600 (seconds).")
    return seconds


def link_url(link: IssuedLink, settings: Settings) -> str:
    """The whole link. Says on standard error where it cannot know what people reach the server at."""
    base = settings.public_url
    if base is None:
        base = _listening_url(settings)
        sys.stderr.write(
            f"nightlatch: The link begins with {printable(base)}, made of host and port. If people reach the "
            "server at another address, set public_url (NIGHTLATCH_PUBLIC_URL) to it.\n"
        )
    return f"{base}/set-password/?link={link.secret.reveal()}"


def link_document(link: IssuedLink | None, url: str | None) -> dict[str, Any]:
    """The link in JSON; nulls where there is none."""
    return {"link": url, "link_expiry": None if link is None else wire_time(link.expiry)}


def link_lines(link: IssuedLink, url: str) -> tuple[str, ...]:
    """The link for people."""
    return (
        f"Send this link to {link.email}; it sets their password, once, until {short_time(link.expiry)} UTC:",
        url,
    )


def _listening_url(settings: Settings) -> str:
    scheme = "http" if settings.tls_certificate is None else "https"
    try:
        host = f"[{settings.host}]" if ipaddress.ip_address(settings.host).version == 6 else settings.host
    except ValueError:
        host = settings.host
    return f"{scheme}://{host}:{settings.port}"
