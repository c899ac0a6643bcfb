"""What a command answers, and how it is printed.

Whatever comes from the database may have been chosen by somebody who wants to deceive the
operator: to a terminal goes nothing but printable characters, and no markup is read in them.
"""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import typer

from nightlatch.model.plain_text import document_text, printable

_PIPE_COLUMNS: Final = 100_000
"""Wider than any row: what reads a pipe wants one line for each row."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows for people; `headers` empty: rows of a name and a value."""

    headers: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command has to say: to scripts `document`, to people `text`, by lines or as a table."""

    document: Any
    text: tuple[str, ...] | Table
    exit_code: int = 0


def short_time(moment: datetime | None, otherwise: str = "") -> str:
    """A moment for people, in UTC to the minute."""
    return otherwise if moment is None else moment.strftime("%Y-%m-%d %H:%M")


def print_answer(answer: Answer, json: bool) -> None:
    """Print the answer in one of its two forms."""
    with _writing():
        if json:
            print_document(answer.document)
        elif isinstance(answer.text, Table):
            _print_table(answer.text)
        else:
            sys.stdout.writelines(f"{printable(line)}\n" for line in answer.text)


def print_lines(lines: Iterable[str]) -> None:
    """Print a part of an answer, so that whoever reads it has it at once."""
    with _writing():
        sys.stdout.writelines(f"{printable(line)}\n" for line in lines)


@contextmanager
def _writing() -> Iterator[None]:
    """Write to standard output, to its end; ends the command where that fails."""
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        # What could not be written must not be tried again at the interpreter's exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.stderr.write(f"nightlatch: It is done, but its answer could not be written: {error.strerror}\n")
        raise typer.Exit(1) from None


def print_document(document: Any) -> None:
    """Print one JSON document."""
    sys.stdout.write(document_text(document) + "\n")


def _print_table(table: Table) -> None:
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    width = None if sys.stdout.isatty() else _PIPE_COLUMNS
    console = Console(file=sys.stdout, width=width, highlight=False, markup=False, emoji=False)
    headers = table.headers or ("", "")
    shown = RichTable(box=None, show_header=bool(table.headers), pad_edge=False, header_style="bold")
    for header in headers:
        shown.add_column(header, overflow="fold")
    for row in table.rows:
        shown.add_row(*(Text(printable(cell)) for cell in row))
    console.print(shown)
