"""A session of an operator with the database: where use cases of admin commands run."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Concatenate, ParamSpec, TypeVar

from nightlatch.app import built_services, opened_engines
from nightlatch.log import configure_logging
from nightlatch.model.errors import CannotStart
from nightlatch.settings import Settings
from nightlatch.store.engine import sqlite_path
from nightlatch.store.schema import check_schema
from nightlatch.usecases.services import Services

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Session:
    """Runs use cases, each with connections of its own."""

    settings: Settings

    def run(
        self,
        use_case: Callable[Concatenate[Services, _Parameters], Awaitable[_Result]],
        *arguments: _Parameters.args,
        **options: _Parameters.kwargs,
    ) -> _Result:
        """The use case's result. Raises what it raises, and CannotStart if the schema does not fit."""

        async def call() -> _Result:
            async with opened_engines(self.settings) as engines:
                await check_schema(engines)
                async with built_services(self.settings, engines) as services:
                    return await use_case(services, *arguments, **options)

        return asyncio.run(call())


def open_session(settings: Settings) -> Session:
    """A session on a database that exists: a mistyped file name must not make a new one.

    Raises CannotStart.
    """
    # Log lines go to standard error: standard output is the answer's.
    configure_logging(settings)
    url = settings.database_url.get_secret_value()
    if url.startswith("sqlite:") and not os.path.exists(sqlite_path(url)):
        raise CannotStart(
            f"database_url (NIGHTLATCH_DATABASE_URL): there is no file {sqlite_path(url)}. "
            "To create it, run: nightlatch migrate (or nightlatch serve)"
        )
    return Session(settings)
