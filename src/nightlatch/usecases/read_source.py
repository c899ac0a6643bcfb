"""Read a source: the rows of a Django database, or of its `manage.py dumpdata --format jsonl`."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from nightlatch.model.errors import CannotStart, Refused
from nightlatch.model.moving import Placement, Service, Source, SourceToken, SourceUser
from nightlatch.model.names import Role
from nightlatch.store.django_database import DjangoDatabase, Row, open_django_database

_TRUE: Final = ("1", "true", "t", "yes", "y")
_PLACEMENT_COLUMNS: Final = frozenset(
    {"user_id", "username", "email", "organization_id", "organization_name", "role", "tokens"}
)


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """Where things stand in the source; the defaults are Django's.

    `username_column` empty: `username` where the table has one, else `email`, which is what clients send.
    """

    user_table: str = "auth_user"
    token_table: str = ""
    username_column: str = ""
    password_column: str = "password"
    user_key: str = "id"
    memberships_query: str = ""


@dataclass(frozen=True, slots=True)
class SourceRead:
    """A source, and the memberships that a query on it found."""

    source: Source
    placements: list[Placement]


TOKEN_TABLES: Final[Mapping[Service, str]] = {
    Service.KNOX: "knox_authtoken",
    Service.DRF: "authtoken_token",
}


async def read_source(service: Service, location: str, options: SourceOptions) -> SourceRead:
    """All users and tokens at that location: a database's URL, or a file of JSON lines.

    Raises CannotStart, Refused or InvalidValue.
    """
    if "://" not in location:
        return _read_export(service, Path(location), options)
    async with open_django_database(location) as database:
        return await _read_database(service, database, options)


async def _read_database(service: Service, database: DjangoDatabase, options: SourceOptions) -> SourceRead:
    users = await database.table(options.user_table)
    tokens = await database.table(options.token_table or TOKEN_TABLES[service])
    source = Source(
        service,
        [_user(row, row, options) for row in users],
        [_token(service, row) for row in tokens],
    )
    found = await database.rows(options.memberships_query) if options.memberships_query else []
    return SourceRead(source, [read_placement(row, "the memberships query") for row in found])


def _read_export(service: Service, file: Path, options: SourceOptions) -> SourceRead:
    """Objects as Django's serializers write them: model, pk and fields. Others than users and tokens pass."""
    users, tokens = [], []
    for number, line in _lines(file):
        try:
            written = json.loads(line)
            fields, key = dict(written["fields"]), written["pk"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise Refused(
                f"{file}, line {number}: expected an object with model, pk and fields, "
                "as `manage.py dumpdata --format jsonl` writes it."
            ) from None
        if options.password_column in fields:
            users.append(_user(fields | {options.user_key: key}, fields, options))
        elif service is Service.KNOX and "digest" not in fields and "token_key" in fields:
            tokens.append(_token(service, fields | {"digest": key, "user_id": fields.get("user")}))
        elif service is Service.DRF and set(fields) == {"user", "created"}:
            tokens.append(_token(service, fields | {"key": key, "user_id": fields["user"]}))
    return SourceRead(Source(service, users, tokens), [])


def _user(row: Row, columns: Mapping[str, Any], options: SourceOptions) -> SourceUser:
    username_column = options.username_column or ("username" if "username" in columns else "email")
    return SourceUser(
        key=_text(_value(row, options.user_key)),
        username=_text(_value(row, username_column)),
        email=_text(row.get("email")),
        password_hash=_text(_value(row, options.password_column)),
        active=bool(row.get("is_active", True)),
    )


def _token(service: Service, row: Row) -> SourceToken:
    drf = service is Service.DRF
    return SourceToken(
        user_key=_text(_value(row, "user_id")),
        stored=_text(_value(row, "key" if drf else "digest")),
        token_key="" if drf else _text(row.get("token_key")),
        salted=bool(row.get("salt")),
        created=_moment(row.get("created")),
        # Before version 4 knox called it `expires`.
        expiry=_moment(row.get("expiry", row.get("expires"))),
    )


def _value(row: Row, column: str) -> Any:
    if column not in row:
        raise Refused(
            f"The source has no column '{column}' where it was looked for; there are: {', '.join(row)}."
        )
    return row[column]


def _text(value: Any) -> str:
    # MySQL and JSON have a UUID without and with hyphens: as keys they only have to agree in one source.
    return "" if value is None else str(value)


def _moment(value: Any) -> datetime | None:
    """A moment in UTC, in which Django stores it unless it was told otherwise."""
    if value is None:
        return None
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        raise Refused("The source has a time that cannot be read.") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


# --- the mapping ----------------------------------------------------------------------------------


def read_mapping(file: Path) -> list[Placement]:
    """The memberships that a file names: CSV with a line of headers, or JSON lines. Raises Refused."""
    lines = list(_lines(file))
    if lines and lines[0][1].lstrip().startswith("{"):
        return [read_placement(row, where) for row, where in _json_rows(file, lines)]
    reader = csv.DictReader(line for _, line in lines)
    return [read_placement(row, f"{file}, line {reader.line_num}") for row in reader]


def everybody_in(source: Source, organization_id: str) -> list[Placement]:
    """All users in one organization, as members."""
    return [Placement(user.key, "", organization_id, "", Role.MEMBER, tokens=False) for user in source.users]


def read_placement(row: Mapping[str, Any], where: str) -> Placement:
    """A membership by its columns. Raises Refused, with where it stands."""
    unknown = {str(name) for name in row} - _PLACEMENT_COLUMNS
    if unknown:
        raise Refused(
            f"{where}: unknown column {', '.join(sorted(unknown))}. There are: user_id, username or email; "
            "organization_id; and as you like organization_name, role, tokens."
        )
    values = {name: _text(value).strip() for name, value in row.items()}
    login = values.get("username") or values.get("email", "")
    if not values.get("organization_id") or not (login or values.get("user_id")):
        raise Refused(f"{where}: expected organization_id, and one of user_id, username and email.")
    return Placement(
        user_key=values.get("user_id", ""),
        login=login,
        organization_id=values["organization_id"],
        organization_name=values.get("organization_name", ""),
        role=values.get("role") or Role.MEMBER,
        tokens=values.get("tokens", "").lower() in _TRUE,
    )


def _json_rows(file: Path, lines: Iterable[tuple[int, str]]) -> Iterator[tuple[dict[str, Any], str]]:
    for number, line in lines:
        where = f"{file}, line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise Refused(f"{where}: this is no JSON object.")
        yield row, where


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    """The lines that are not empty, with their numbers."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            for number, line in enumerate(opened, 1):
                if line.strip():
                    yield number, line
    except OSError as error:
        raise CannotStart(f"{file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise Refused(f"{file}: this is not UTF-8.") from None
