"""nightlatch migrate"""

import asyncio

import typer

from nightlatch.cli.output import Json, print_json, print_sentence
from nightlatch.cli.session import settings_of


def migrate(context: typer.Context, as_json: Json = False) -> None:
    """Make the database's tables, or bring them up to date. Safe to run at any time."""
    from nightlatch.app import opened_engines
    from nightlatch.store import schema

    settings = settings_of(context)

    async def run() -> tuple[str | None, str]:
        async with opened_engines(settings) as engines:
            return await schema.migrate(engines)

    before, after = asyncio.run(run())
    if as_json:
        print_json({"before": before, "after": after})
    elif before == after:
        print_sentence(f"The schema is up to date: revision {after}.")
    else:
        print_sentence(f"The schema is at revision {after} now, before: {before or 'empty'}.")
