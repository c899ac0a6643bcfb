"""What the command prints: tables and sentences for people, one JSON document for scripts."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from nightlatch.model.records import EndedToken, Membership, Organization, TokenRecord, User
from nightlatch.model.times import wire_time

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, for scripts.")]

Shape = dict[str, Any]


def organization_shape(organization: Organization) -> Shape:
    """An organization in JSON."""
    return {
        "id": organization.id,
        "name": organization.name,
        "token_limit": organization.token_limit,
        "limit_policy": organization.limit_policy.value,
        "time_to_live": organization.time_to_live,
        "created": wire_time(organization.created),
        "closed": wire_time(organization.closed),
    }


def user_shape(user: User) -> Shape:
    """A user in JSON."""
    return {
        "id": user.id,
        "email": user.email,
        "created": wire_time(user.created),
        "disabled": wire_time(user.disabled),
    }


def membership_shape(membership: Membership) -> Shape:
    """A membership in JSON."""
    return {
        "organization_id": membership.organization_id,
        "email": membership.email,
        "role": membership.role.value,
        "created": wire_time(membership.created),
        "disabled": wire_time(membership.disabled),
    }


def token_shape(token: TokenRecord) -> Shape:
    """A live token in JSON: the same as the API's."""
    return {
        "id": token.id,
        "name": token.name,
        "user": token.email,
        "created": wire_time(token.created),
        "expiry": wire_time(token.expiry),
        "last_used": wire_time(token.last_used),
        "last_address": token.last_address,
        "user_agent": token.user_agent,
    }


def ended_shape(ended: Sequence[EndedToken]) -> list[str]:
    """The ids of tokens that were ended."""
    return [token.id for token in ended]


def print_json(document: Any) -> None:
    """One JSON document on standard output."""
    typer.echo(json.dumps(document, indent=2, ensure_ascii=True))


def print_sentence(sentence: str) -> None:
    """A sentence on standard output, safe for a terminal."""
    typer.echo(printable(sentence))


def print_table(rows: Sequence[Mapping[str, Any]], empty: str) -> None:
    """Rows as a table with the keys as headings, or the sentence for none."""
    if not rows:
        typer.echo(empty)
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in rows[0]:
        table.add_column(heading.replace("_", " "), overflow="fold")
    for row in rows:
        # Text, not str: names that look like markup stay what they are.
        table.add_row(*(Text(_cell(value)) for value in row.values()))
    width = None if sys.stdout.isatty() else 200
    Console(width=width, highlight=False).print(table)


def printable(text: str) -> str:
    """The text without what could steer a terminal: names come from people."""
    return "".join(
        character if character.isprintable() or character == "\n" else "\ufffd" for character in text
    )


def _cell(value: Any) -> str:
    return "-" if value is None or value == "" else printable(str(value)).replace("\n", "\ufffd")
