"""The `nightlatch-client` command. Needs the extra `cli`."""

import sys


def run() -> None:
    """The command; ends the process with its exit code."""
    try:
        from nightlatch_client.cli.main import run_command
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        sys.stderr.write("nightlatch-client: the command needs two packages: pip install typer rich\n")
        sys.exit(1)
    run_command()
