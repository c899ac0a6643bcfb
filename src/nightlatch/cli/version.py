"""Tell the version."""

import typer

from nightlatch.cli.command import Call, command
from nightlatch.cli.output import Answer
from nightlatch.version import server_version


@command
def version(call: Call) -> Answer:
    """Print the version."""
    found = server_version()
    return Answer({"version": found}, (f"nightlatch {found}",))


def print_version(asked: bool) -> None:
    """The same for `nightlatch --version`, which people try first."""
    if asked:
        typer.echo(f"nightlatch {server_version()}")
        raise typer.Exit
