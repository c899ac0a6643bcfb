"""The pulse: an empty commit, in the statement that reads, which the synchronous standby must confirm.

PostgreSQL may have changed its primary while the old one lives on and answers. A commit that the standby
has confirmed proves that it was still a standby when it did so: whatever was committed on a promoted one
came later. It proves also that all the statement saw is on the standby, the log being in order.

Where no standby is waited for there is nothing to prove, and no pulse. PostgreSQL says that a wait was
cancelled, so that nothing was confirmed, by a mere warning beside a successful COMMIT (H28).
"""

from typing import Any, Final

import asyncpg
from sqlalchemy import Boolean, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from nightlatch.model.errors import StoreUnavailable
from nightlatch.store.connection import Connection


class database_pulse(FunctionElement[bool]):  # noqa: N801
    """Whether the commit of this statement is waited for until a standby confirms it; makes it one."""

    type = Boolean()
    inherit_cache = True


@compiles(database_pulse, "sqlite")
def _sqlite_pulse(element: database_pulse, compiler: Any, **options: Any) -> str:
    return "0"


@compiles(database_pulse, "postgresql")
def _postgresql_pulse(element: database_pulse, compiler: Any, **options: Any) -> str:
    # In a query of its own it runs once, however many rows are read. The settings hold to the end of the
    # transaction, whatever role, database or a pooler in between have set.
    return (
        "(SELECT CASE WHEN current_setting('synchronous_standby_names') = '' THEN false"
        " ELSE pg_logical_emit_message(true, 'nightlatch', set_config('synchronous_commit', 'on', true)"
        " || set_config('client_min_messages', 'warning', true)) IS NOT NULL END)"
    )


_PULSE: Final = select(database_pulse().label("pulse"))


async def confirm_primary(connection: Connection) -> None:
    """Return when what this connection's statements saw before is on the standby, if there has to be one.

    Raises StoreUnavailable when the standby did not confirm it: this may be no primary any more.
    """
    await connection.execute(_PULSE)


class WatchedConnection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg is untyped
    """A connection that remembers whether the server has warned of anything."""

    warning: str | None = None

    def watch(self) -> None:
        """Begin to; once, when it has been opened."""
        self.add_log_listener(_note_warning)

    def cut(self) -> None:
        """End it at once, also for whoever is using it: to them it is a connection that was lost.

        `terminate` is for whoever has it alone: it leaves nothing that could still be called.
        """
        self._transport.abort()

    def check_confirmed(self) -> None:
        """Raise StoreUnavailable if the server has warned since this was called last.

        Right after a commit was answered: the driver hands over what came before the answer first.
        """
        warning, self.warning = self.warning, None
        if warning is not None:
            raise StoreUnavailable(
                "The database could not confirm what it was asked. Try again later.", warning
            )


def _note_warning(connection: WatchedConnection, message: Any) -> None:
    if message.severity_en == "WARNING":
        connection.warning = message.message
