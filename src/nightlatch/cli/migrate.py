"""Bring the database's schema up to date."""

import asyncio

from nightlatch.cli.command import Call, command
from nightlatch.cli.output import Answer


@command
def migrate(call: Call) -> Answer:
    """Create the database's schema, or bring it up to date. Safe to repeat.

    A database file that does not exist is created.
    """
    from nightlatch.app import opened_engines
    from nightlatch.log import configure_logging
    from nightlatch.store import schema

    settings = call.settings()
    configure_logging(settings)

    async def run() -> tuple[str | None, str]:
        async with opened_engines(settings) as engines:
            return await schema.migrate(engines)

    before, after = asyncio.run(run())
    if before is None:
        sentence = f"The database was empty; its schema is at revision {after} now."
    elif before == after:
        sentence = f"The schema is at revision {after} already."
    else:
        sentence = f"The schema was at revision {before} and is at {after} now."
    return Answer({"before": before, "after": after}, (sentence,))
