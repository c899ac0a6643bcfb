"""Tell the version."""

from importlib.metadata import version as distribution_version

import typer

from nightlatch.cli.command import Call, command
from nightlatch.cli.output import Answer


@command
def version(call: Call) -> Answer:
    """Print the version."""
    found = distribution_version("nightlatch")
    return Answer({"version": found}, (f"nightlatch {found}",))


def print_version(asked: bool) -> None:
    """The same for `nightlatch --version`, which people try first."""
    if asked:
        typer.echo(f"nightlatch {distribution_version('nightlatch')}")
        raise typer.Exit
