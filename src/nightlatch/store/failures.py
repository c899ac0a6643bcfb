"""What goes wrong in the database, told in the model's errors."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from nightlatch.model.errors import StoreUnavailable


class OtherServer(OSError):
    """A connection leads to a server that is not, or not any more, the one in question: it is dropped."""


_LATER = "The database did not do what it was asked. Try again later."


@contextmanager
def translated() -> Iterator[None]:
    """Raise StoreUnavailable for whatever means that the database did not do what it was asked.

    Violated constraints pass as they are: the query that expects one tells what it means. For a
    COMMIT, StoreUnavailable says that its outcome is unknown.
    """
    try:
        yield
    except IntegrityError:
        raise
    except DBAPIError as error:
        raise StoreUnavailable(_LATER, _cause(error)) from error
    except sqlite3.Error as error:  # from a statement of ours, which SQLAlchemy did not run
        raise StoreUnavailable(_LATER, f"{type(error).__name__}: {error}") from error
    except SQLAlchemyError as error:
        raise StoreUnavailable(_LATER, type(error).__name__) from error
    except (
        TimeoutError,
        OSError,
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
    ) as error:
        raise StoreUnavailable(_LATER, f"{type(error).__name__}: {error}") from error


def violated_constraint(error: IntegrityError) -> str:
    """Which constraint it was, as far as the database says; the two say it differently."""
    cause: BaseException | None = error.orig
    while cause is not None:
        name = getattr(cause, "constraint_name", None)
        if name:
            return str(name)
        cause = cause.__cause__
    return str(error.orig)


def _cause(error: DBAPIError) -> str:
    # The statement and its parameters stay out: str(error) would show the former.
    return f"{type(error.orig).__name__}: {error.orig}"
