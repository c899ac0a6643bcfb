"""The schema's version: brings a database up to date, and tells whether this server may use it."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, select, text

from nightlatch.model.errors import CannotStart
from nightlatch.store import tables
from nightlatch.store.engine import Engines
from nightlatch.store.failures import translated
from nightlatch.version import is_newer, server_version

_ADVISORY_LOCK = 0x6E6C6174
"""Held while migrating, so that two `nightlatch migrate` on one PostgreSQL take turns."""


async def migrate(engines: Engines) -> tuple[str | None, str]:
    """Bring the schema up to date in one transaction; the revisions before (None: empty) and after.

    Safe to run at any time, by several processes at once, and after having been killed.
    """

    def run(connection: Connection) -> tuple[str | None, str]:
        if connection.dialect.name == "postgresql":
            # Another migration may take its time; so may this one.
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text("SET LOCAL lock_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
        before = _revision(connection)
        _refuse_newer(connection, before)
        if before is not None and before not in _known_revisions():
            return before, before  # made by a later version, which still admits this one
        configuration = _configuration()
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, "head")
        return before, _head()

    with translated():
        return await engines.writing.run_sync(run)


async def check_schema(engines: Engines) -> str:
    """The schema's revision. Raises CannotStart, with what helps, unless this server may use it."""

    def run(connection: Connection) -> str:
        found = _revision(connection)
        if found is None:
            raise CannotStart("The database is empty. Run: nightlatch migrate")
        _refuse_newer(connection, found)
        if found in _known_revisions() and found != _head():
            raise CannotStart(
                f"The schema is at revision {found}, this server needs {_head()}. Run: nightlatch migrate"
            )
        return found

    with translated():
        return await engines.reading.run_sync(run)


async def is_empty(engines: Engines) -> bool:
    """Whether nothing has been created in the database yet."""
    with translated():
        return await engines.reading.run_sync(lambda inner: _revision(inner) is None)


def _refuse_newer(connection: Connection, found: str | None) -> None:
    """A schema of a later version is fine as long as it still admits servers as old as this one."""
    if found is None:
        return
    oldest = connection.execute(select(tables.installation.c.oldest_server)).scalar_one()
    if is_newer(oldest):
        raise CannotStart(
            f"The database needs nightlatch {oldest} or later, this is {server_version()}. "
            f"Run: pip install --upgrade 'nightlatch>={oldest}'"
        )


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return MigrationContext.configure(connection).get_current_revision()


def _configuration() -> Config:
    configuration = Config()
    folder = Path(__file__).parent / "migrations"
    configuration.set_main_option("script_location", str(folder).replace("%", "%%"))
    return configuration


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_configuration())


def _head() -> str:
    head = _scripts().get_current_head()
    if head is None:
        raise RuntimeError("the package has lost its migrations")
    return head


def _known_revisions() -> set[str]:
    return {script.revision for script in _scripts().walk_revisions()}
