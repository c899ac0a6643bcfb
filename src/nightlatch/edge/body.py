"""Reading a body: JSON, form or multipart, by its Content-Type, as Django REST framework reads it."""

import codecs
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final
from urllib.parse import parse_qsl

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from nightlatch.edge.answers import Answer, detail
from nightlatch.edge.body_limits import BODY_BYTES_MAX

JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data"
FORM_FIELDS_MAX: Final = 1000
FILES_MAX: Final = 100
_CONTENT_TYPE_CHARACTERS_MAX: Final = 256
_CONTENT_TYPES_REMEMBERED: Final = 64


@dataclass(frozen=True, slots=True)
class Body:
    """What a body said. In a form, an optional field left empty counts as not sent."""

    data: Any
    is_form: bool


async def read_body(request: Request) -> Body:
    """The request's body; raises the Answer 400, 408, 413 or 415."""
    content_type = request.headers.get("content-type", "")
    raw = await request.body()
    if not raw:
        return Body({}, is_form=False)
    media_type, options = _media_type(content_type)
    match media_type:
        case "application/json" | "application/*" | "*/json" | "*/*":
            return Body(_read_json(raw, _charset(options)), False)
        case "application/x-www-form-urlencoded":
            # The last of several values counts.
            return Body(dict(_form_pairs(raw, _charset(options))), True)
        case "multipart/form-data" | "multipart/*":
            return Body(await _read_multipart(raw, content_type, options), True)
    raise _unsupported(content_type)


async def read_strict_json(request: Request) -> Any:
    """The value of a body that may be JSON only, where no key stands twice; raises as `read_body` does."""
    content_type = request.headers.get("content-type", "")
    raw = await request.body()
    media_type, options = _media_type(content_type)
    if raw and media_type != JSON:
        raise _unsupported(content_type)
    return _read_json(raw, _charset(options), _refuse_repeated) if raw else {}


async def read_form(request: Request) -> list[tuple[str, str]]:
    """The fields of a body that may be a form only, repeated ones too; raises as `read_body` does.

    What UTF-8 cannot write, some charsets can: it is replaced.
    """
    content_type = request.headers.get("content-type", "")
    raw = await request.body()
    if not raw:
        return []
    media_type, options = _media_type(content_type)
    if media_type != FORM:
        raise _unsupported(content_type)
    return [(_writable(name), _writable(value)) for name, value in _form_pairs(raw, _charset(options))]


def _writable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def _unsupported(content_type: str) -> Answer:
    return detail(415, f'Unsupported media type "{content_type}" in request.')


@lru_cache(_CONTENT_TYPES_REMEMBERED)
def _media_type(content_type: str) -> tuple[str, Mapping[bytes, bytes]]:
    if len(content_type) > _CONTENT_TYPE_CHARACTERS_MAX:
        return "", {}
    media_type, options = parse_options_header(content_type)
    return media_type.decode("latin-1").strip().lower(), options


def _charset(options: Mapping[bytes, bytes]) -> str:
    """The declared charset where Python can decode it as text, else UTF-8, as Django does."""
    name = options.get(b"charset", b"utf-8").decode("latin-1")
    try:
        codec = codecs.lookup(name)
    except (LookupError, ValueError):
        return "utf-8"
    # Python's private mark of codecs that are no text encodings, such as hex and rot13. The two for
    # host names take a time that grows with the square of the text.
    if not getattr(codec, "_is_text_encoding", True) or codec.name in ("undefined", "idna", "punycode"):
        raise detail(400, f'Unsupported charset "{name}" in request Content-Type header.')
    return codec.name


def _refuse_constant(name: str) -> None:
    raise ValueError(f"Out of range float values are not JSON compliant: {name}")


def _refuse_repeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("A key stands twice in an object")
    return found


def _read_json(
    raw: bytes, charset: str, make_object: Callable[[list[tuple[str, Any]]], dict[str, Any]] | None = None
) -> Any:
    try:
        return json.loads(raw.decode(charset), parse_constant=_refuse_constant, object_pairs_hook=make_object)
    except RecursionError:
        raise detail(400, "JSON parse error - nested too deeply") from None
    except ValueError as error:
        raise detail(400, f"JSON parse error - {error}") from None


def _form_pairs(raw: bytes, charset: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            raw.decode(charset, "replace"),
            keep_blank_values=True,
            encoding=charset,
            errors="replace",
            max_num_fields=FORM_FIELDS_MAX,
        )
    except (ValueError, LookupError):
        raise _too_many() from None


async def _read_multipart(raw: bytes, content_type: str, options: Mapping[bytes, bytes]) -> dict[str, Any]:
    _charset(options)
    if not options.get(b"boundary"):
        raise _malformed(f"Invalid boundary in multipart: {'' if b'boundary' in options else None}")

    async def stream() -> Any:
        yield raw

    parser = MultiPartParser(
        Headers({"content-type": content_type}),
        stream(),
        max_files=FILES_MAX,
        max_fields=FORM_FIELDS_MAX,
        max_part_size=BODY_BYTES_MAX,
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise _malformed(error.message) from None
    except (FormParserError, ValueError, LookupError, KeyError) as error:
        raise _malformed(type(error).__name__) from None
    fields = {name: value for name, value in form.multi_items() if isinstance(value, str)}
    files = {name: value for name, value in form.multi_items() if isinstance(value, UploadFile)}
    await form.close()
    return fields | files


def _malformed(reason: str) -> Answer:
    return detail(400, f"Multipart form parse error - {reason}")


def _too_many() -> Answer:
    return detail(400, f"The form has more than {FORM_FIELDS_MAX} fields.")
