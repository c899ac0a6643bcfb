"""Backups of an SQLite database, and what has to be done after a restore of any."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from nightlatch.cli.arguments import YesOption
from nightlatch.cli.command import Call, command
from nightlatch.cli.confirmation import confirm
from nightlatch.cli.output import Answer, short_time
from nightlatch.model.errors import Refused
from nightlatch.model.records import RecentChange, StartedOver
from nightlatch.model.times import wire_time

if TYPE_CHECKING:
    from nightlatch.settings import Settings

_PROGRESS_SECONDS: Final = 2.0


@command
def backup(
    call: Call,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The backup to make. It must not exist.")],
) -> Answer:
    """Back up an SQLite database while it is in use.

    The backup is complete, checked and on the disk when this says so. For PostgreSQL use its own means.
    """
    from nightlatch.store.sqlite_copy import back_up

    call.session()  # raises for a database that is not there
    made = back_up(_database(call.settings()), file, _Progress())
    document = {
        "file": str(made.file),
        "size_bytes": made.size_bytes,
        "sha256": made.sha256,
        "revision": made.revision,
    }
    return Answer(document, (f"Backed up to {made.file}: {made.size_bytes} bytes, SHA-256 {made.sha256}.",))


@command
def restore(
    call: Call,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The backup to restore.")],
    yes: YesOption = False,
) -> Answer:
    """Restore an SQLite database from a backup, while nothing uses it. Ends all tokens and links.

    The database before is kept beside it. A backup cannot tell what was ended after it was made: so
    everybody has to log in again, and what was done to users last is listed, to be looked through.
    """
    import asyncio

    from nightlatch.log import configure_logging
    from nightlatch.usecases import restore as use_case

    settings = call.settings()
    configure_logging(settings)
    database = _database(settings)
    confirm(f"Replace {database} by {file}, and end all tokens?", yes)
    restored = asyncio.run(use_case.restore(database, file, _Progress()))
    first = [f"Restored {database} from {file}."]
    if restored.kept is not None:
        first.append(f"The database before is kept as {restored.kept}.")
    document = {"file": str(database), "kept": None if restored.kept is None else str(restored.kept)}
    return _answer(restored.started_over, document, first)


@command
def restored(call: Call, yes: YesOption = False) -> Answer:
    """Say that the database has been restored by other means. Ends all tokens and links.

    For PostgreSQL after pg_restore or a recovery to a point in time, before the servers start.
    """
    from nightlatch.usecases.start_over import start_over

    session = call.session()
    confirm("End all tokens, of every organization?", yes)
    return _answer(session.run(start_over), {}, [])


def _answer(over: StartedOver, document: dict[str, Any], lines: list[str]) -> Answer:
    document |= {
        "ended_token_count": over.ended.tokens,
        "ended_link_count": over.ended.links,
        "since": wire_time(over.since),
        "review": [_change_document(change) for change in over.changes],
    }
    lines += [
        f"Ended: {over.ended.tokens} tokens, {over.ended.links} links to set a password.",
        "What was done after the backup was made is lost. Look through what was done before it, since "
        f"{short_time(over.since)}, and do again what is missing:"
        if over.changes
        else f"Nothing was done to users and memberships from {short_time(over.since)} on.",
    ]
    return Answer(document, (*lines, *map(_change_line, over.changes)))


def _change_line(change: RecentChange) -> str:
    parts = (short_time(change.at), change.what, change.email, change.organization_id)
    return "  ".join(part for part in parts if part)


def _change_document(change: RecentChange) -> dict[str, Any]:
    return {
        "at": wire_time(change.at),
        "what": change.what,
        "email": change.email,
        "organization_id": change.organization_id,
    }


def _database(settings: "Settings") -> Path:
    from nightlatch.store.engine import sqlite_path

    url = settings.database_url.get_secret_value()
    if not url.startswith("sqlite:"):
        raise Refused(
            "This is for SQLite. PostgreSQL is backed up and restored by pg_dump, pg_restore and the like; "
            "after a restore run: nightlatch restored"
        )
    return sqlite_path(url)


class _Progress:
    """Says every two seconds, on standard error, how far a copy is."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _PROGRESS_SECONDS

    def __call__(self, doing: str) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _PROGRESS_SECONDS
            sys.stderr.write(f"nightlatch: {doing}\n")
