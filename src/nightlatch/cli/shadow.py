"""Shadow: does Nightlatch accept and refuse the same tokens as the service that it is to replace?

Both are asked for each request of a stream, as a client would ask them. No token is ever written out: a
line's number tells whoever has the stream which one it was.
"""

import json
import ssl
import sys
from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer

from nightlatch.cli.command import Call, command
from nightlatch.cli.failure import WrongUse
from nightlatch.cli.output import Answer
from nightlatch.model.errors import CannotStart

TIMEOUT_SECONDS: Final = 10.0
LINES_SHOWN: Final = 20
_VERIFY: Final = "/api/auth/verify/"


class Finding(StrEnum):
    """What the two services say of one request."""

    BOTH_ACCEPT = "both_accept"
    BOTH_REFUSE = "both_refuse"
    ONLY_OLD_ACCEPTS = "only_old_accepts"
    ONLY_NEW_ACCEPTS = "only_new_accepts"
    OLD_UNKNOWN = "old_unknown"
    NEW_UNKNOWN = "new_unknown"


_SENTENCES: Final = {
    Finding.BOTH_ACCEPT: "accepted by both",
    Finding.BOTH_REFUSE: "refused by both",
    Finding.ONLY_OLD_ACCEPTS: "accepted by the old service, refused by Nightlatch",
    Finding.ONLY_NEW_ACCEPTS: "refused by the old service, accepted by Nightlatch",
    Finding.OLD_UNKNOWN: "not answered by the old service with 2xx, 401 or 403",
    Finding.NEW_UNKNOWN: "not answered by Nightlatch with 200 or 401",
}
_AGREE: Final = (Finding.BOTH_ACCEPT, Finding.BOTH_REFUSE)


@command
def shadow(
    call: Call,
    old: Annotated[
        str,
        typer.Argument(
            metavar="OLD_URL",
            help="A URL of the old service, or of an API behind it, that answers a GET with 2xx to a live "
            "token, and with 401 or 403 to any other.",
        ),
    ],
    new: Annotated[str, typer.Argument(metavar="NEW_URL", help="Nightlatch, as https://auth.example.com.")],
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            metavar="FILE",
            help="Where requests are read from, one a line: an Authorization header's value, or a JSON "
            "object with it under `authorization`, as a log may have it.",
            show_default="standard input",
        ),
    ] = None,
) -> Answer:
    """Ask an old service and Nightlatch about the same requests, and report where they disagree.

    Ends with 1 unless they agree about each. At the end of the stream, or on Ctrl-C, the report is printed.
    """
    services = _Asked(old), _Asked(new.rstrip("/") + _VERIFY)
    counts: Counter[Finding] = Counter()
    lines: dict[Finding, list[int]] = {}
    try:
        for number, authorization in _requests(file):
            finding = _compare(*services, authorization)
            if finding not in _AGREE:
                # It may have been logged out, or have expired, between the two.
                finding = _compare(*services, authorization)
            counts[finding] += 1
            if finding not in _AGREE and len(lines.setdefault(finding, [])) < LINES_SHOWN:
                lines[finding].append(number)
    except KeyboardInterrupt:
        pass
    return _answer(counts, lines)


class _Asked:
    """A service, asked over one connection."""

    def __init__(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise WrongUse("A URL begins with http:// or https://, and names a host.")
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._connection: HTTPConnection = (
            HTTPConnection(parts.hostname, port, timeout=TIMEOUT_SECONDS)
            if parts.scheme == "http"
            else HTTPSConnection(
                parts.hostname, port, timeout=TIMEOUT_SECONDS, context=ssl.create_default_context()
            )
        )

    def accepts(self, authorization: bytes) -> bool | None:
        """Whether the service accepts the header's value; None: it said neither yes nor no."""
        status = self._status(authorization) or self._status(authorization)  # a connection may have been idle
        if status is None:
            return None
        return True if 200 <= status < 300 else False if status in (401, 403) else None

    def _status(self, authorization: bytes) -> int | None:
        try:
            self._connection.putrequest("GET", self._target, skip_accept_encoding=True)
            self._connection.putheader("Authorization", authorization)
            self._connection.endheaders()
            response = self._connection.getresponse()
            response.read()
            return response.status
        except (OSError, HTTPException, ValueError):
            self._connection.close()
            return None


def _compare(old: _Asked, new: _Asked, authorization: bytes) -> Finding:
    by_old, by_new = old.accepts(authorization), new.accepts(authorization)
    if by_old is None:
        return Finding.OLD_UNKNOWN
    if by_new is None:
        return Finding.NEW_UNKNOWN
    if by_old == by_new:
        return Finding.BOTH_ACCEPT if by_old else Finding.BOTH_REFUSE
    return Finding.ONLY_OLD_ACCEPTS if by_old else Finding.ONLY_NEW_ACCEPTS


def _requests(file: Path | None) -> Iterator[tuple[int, bytes]]:
    """The lines' numbers and Authorization headers; lines without one are passed over."""
    try:
        stream = sys.stdin.buffer if file is None else file.open("rb")
    except OSError as error:
        raise CannotStart(f"{file} cannot be read: {error.strerror}.") from None
    with stream:
        for number, line in enumerate(stream, 1):
            authorization = _authorization(line.strip())
            if authorization:
                yield number, authorization


def _authorization(line: bytes) -> bytes:
    if not line.startswith(b"{"):
        return line.removeprefix(b"Authorization:").strip()
    try:
        value = json.loads(line).get("authorization", "")
    except (ValueError, RecursionError):  # the latter of one that is nested deeply
        return b""
    return value.encode("utf-8", "replace").strip() if isinstance(value, str) else b""


def _answer(counts: Counter[Finding], lines: dict[Finding, list[int]]) -> Answer:
    agree = sum(counts[finding] for finding in _AGREE)
    asked = sum(counts.values())
    text = [f"Asked about {asked} requests; they agree about {agree}."]
    for finding in Finding:
        if counts[finding]:
            numbers = lines.get(finding, [])
            more = ", …" if counts[finding] > len(numbers) else ""
            where = f" (lines {', '.join(map(str, numbers))}{more})" if numbers else ""
            text.append(f"  {counts[finding]} {_SENTENCES[finding]}{where}")
    document = {
        "asked": asked,
        "agree": agree,
        "findings": {finding.value: counts[finding] for finding in Finding},
        "lines": {finding.value: numbers for finding, numbers in lines.items()},
    }
    return Answer(document, tuple(text), exit_code=0 if agree == asked else 1)
