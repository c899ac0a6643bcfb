"""HTTP/1.1 as far as a question to verify needs it: the bytes that ask, and the answer in those that come.

Whatever is not exactly an answer of Nightlatch's is unreadable, and refused by the caller: a page of some
gateway, a redirect, a second answer behind the first, a header that is there twice.
"""

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import quote, unquote

from nightlatch.middleware.caller import Caller
from nightlatch.middleware.question import Question
from nightlatch.middleware.refusal import FORBIDDEN, INVALID_TOKEN, UNKNOWN, Refusal

HEAD_BYTES_MAX: Final = 16 * 1024
BODY_BYTES_MAX: Final = 64 * 1024
SENTENCE_CHARACTERS_MAX: Final = 500
RETRY_SECONDS_MAX: Final = 3600

_STATUS: Final = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9])(?: [^\r\n]*)?")
_HEADER: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*)")
_NOT_SENT: Final = re.compile(r"[\0-\x08\x0a-\x1f\x7f]")
_SENTENCES: Final = {401: INVALID_TOKEN, 403: FORBIDDEN, 503: UNKNOWN}


class Unreadable(Exception):
    """What came is no answer of Nightlatch's; says why, without any of its content."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, read to its end; header names in lower case. `last` if the connection ends with it."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes
    last: bool


def question_bytes(question: Question, host: str, path: str) -> bytes:
    """The request that asks it. Raises Refusal for a header that cannot stand in a request."""
    if question.organization_id is not None:
        path += "?organization_id=" + quote(question.organization_id, safe="")
    headers = {
        "Host": host,
        "Authorization": question.authorization.decode("latin-1"),
        "X-Forwarded-For": question.client_address.strip() or "unknown",
        "X-Forwarded-Method": question.method,
        "X-Forwarded-Uri": question.target,
        "Origin": question.origin or "",
    }
    text = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value)
    if any(_NOT_SENT.search(value) for value in headers.values()):
        raise Refusal(401, INVALID_TOKEN)
    return f"GET {path} HTTP/1.1\r\n{text}\r\n".encode("latin-1", "replace")


def read_answer(received: bytes) -> Answer | None:
    """The answer, when all of it has been received, and None before. Raises Unreadable."""
    head, end, body = received.partition(b"\r\n\r\n")
    if not end:
        if len(received) > HEAD_BYTES_MAX:
            raise Unreadable("the head of the answer is too long")
        return None
    lines = head.split(b"\r\n")
    status = _STATUS.fullmatch(lines[0])
    if status is None:
        raise Unreadable("the answer is not HTTP/1.1")
    headers: dict[bytes, bytes] = {}
    for line in lines[1:]:
        header = _HEADER.fullmatch(line)
        if header is None:
            raise Unreadable("a header of the answer cannot be read")
        name = header[1].lower()
        if name in headers and (name.startswith(b"x-auth-") or name == b"content-length"):
            raise Unreadable("a header of the answer is there twice")
        headers[name] = header[2].rstrip(b" \t")
    length = headers.get(b"content-length", b"")
    if b"transfer-encoding" in headers or not length.isdigit() or len(length) > 6:
        raise Unreadable("the answer does not say its length")
    missing = int(length) - len(body)
    if int(length) > BODY_BYTES_MAX or missing < 0:
        raise Unreadable("the answer is too long")
    if missing > 0:
        return None
    return Answer(int(status[1]), headers, body, headers.get(b"connection", b"").lower() == b"close")


def read_caller(answer: Answer, question: Question) -> Caller:
    """Whom the answer names. Raises Refusal with what it says instead, and Unreadable."""
    if answer.status == 200:
        return _caller(answer, question)
    if answer.status in _SENTENCES:
        retry = answer.headers.get(b"retry-after", b"")
        seconds = int(retry) if retry.isdigit() and len(retry) <= 6 else 1
        raise Refusal(answer.status, _sentence(answer), min(max(seconds, 1), RETRY_SECONDS_MAX))
    raise Unreadable(f"verify answered {answer.status}")


def _caller(answer: Answer, question: Question) -> Caller:
    try:
        # Each is there in every answer of 200, and only the expiry may be empty.
        organization, email, role, token_id, expiry = (
            unquote(answer.headers[name].decode("ascii"), errors="strict")
            for name in (
                b"x-auth-organization",
                b"x-auth-user",
                b"x-auth-role",
                b"x-auth-token-id",
                b"x-auth-expiry",
            )
        )
        until = datetime.fromisoformat(expiry) if expiry else None
    except (KeyError, ValueError):
        raise Unreadable("verify answered 200 without saying who it is") from None
    if not (organization and email and role and token_id):
        raise Unreadable("verify answered 200 without saying who it is")
    if question.organization_id not in (None, organization):
        raise Unreadable("verify answered for another organization")
    return Caller(organization, email, role, token_id, until)


def _sentence(answer: Answer) -> str:
    try:
        sentence = json.loads(answer.body)["detail"]
    except (ValueError, KeyError, TypeError, RecursionError):
        sentence = None
    if isinstance(sentence, str) and 0 < len(sentence) <= SENTENCE_CHARACTERS_MAX:
        return sentence
    return _SENTENCES[answer.status]
