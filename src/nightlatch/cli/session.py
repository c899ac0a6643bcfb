"""From a command to a use case: settings, database, services, and what errors become."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from nightlatch.model.errors import CannotStart
from nightlatch.settings import Settings, load_settings

Config = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="TOML file with settings.", show_default=False)
]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        "--database-url",
        metavar="URL",
        help="sqlite:///FILE or postgresql://HOST/DATABASE. Passwords belong into the variable "
        "NIGHTLATCH_DATABASE_URL or the file.",
        show_default=False,
    ),
]

_Result = TypeVar("_Result")


def settings_of(context: typer.Context, **flags: Any) -> Settings:
    """Settings in force for this command; raises CannotStart."""
    root = context.find_root().params
    return load_settings({"database_url": root.get("database_url"), **flags}, root.get("config"), os.environ)


def run_use_case(
    context: typer.Context, use_case: Callable[..., Awaitable[_Result]], *arguments: Any
) -> _Result:
    """The use case's result, on the database that the settings name; raises what it raises.

    A database that is missing or not up to date is an error here: only migrate and serve make one.
    """
    from nightlatch.app import built_services, opened_engines
    from nightlatch.store.engine import sqlite_path
    from nightlatch.store.schema import check_schema

    settings = settings_of(context)
    url = settings.database_url.get_secret_value()
    if url.startswith("sqlite:") and not sqlite_path(url).exists():
        raise CannotStart(
            f"database_url (NIGHTLATCH_DATABASE_URL): there is no file {sqlite_path(url)}. "
            "Name the right one, or make it with: nightlatch migrate"
        )

    async def run() -> _Result:
        async with opened_engines(settings) as engines:
            await check_schema(engines)
            async with built_services(settings, engines) as services:
                return await use_case(services, *arguments)

    return asyncio.run(run())


def confirm(question: str, yes: bool) -> None:
    """Go on only if --yes was given or a person says so."""
    if yes:
        return
    if not os.isatty(0):
        raise typer.BadParameter("there is no terminal to confirm on: give --yes", param_hint="--yes")
    typer.confirm(question, abort=True)
