"""The root of the command line."""

import os
import sys
from typing import Annotated

import typer

from nightlatch.cli.audit import audit
from nightlatch.cli.backup import backup, restore, restored
from nightlatch.cli.command import Call, ConfigOption, DatabaseUrlOption
from nightlatch.cli.doctor import doctor
from nightlatch.cli.failure import report_bug, report_usage
from nightlatch.cli.lease import lease
from nightlatch.cli.member import members
from nightlatch.cli.migrate import migrate
from nightlatch.cli.moving import moving
from nightlatch.cli.organization import organizations
from nightlatch.cli.serve import serve
from nightlatch.cli.shadow import shadow
from nightlatch.cli.token import tokens
from nightlatch.cli.user import users
from nightlatch.cli.version import print_version, version

_EPILOG = (
    "Each setting can also be a variable, as NIGHTLATCH_DATABASE_URL, or stand in the file that --config "
    "names. A flag wins over a variable, a variable over the file.\n\n"
    "First steps:\n\n"
    "nightlatch migrate\n\n"
    'nightlatch organization add "Acme Ltd" --id acme\n\n'
    "nightlatch user add ann@example.com --organization acme --role owner\n\n"
    "nightlatch serve"
)

application = typer.Typer(
    name="nightlatch",
    help="Nightlatch, an authentication service for multi-tenant HTTP APIs.",
    epilog=_EPILOG,
    no_args_is_help=True,
    # Typer's own traceback shows the values of variables, passwords among them.
    pretty_exceptions_enable=False,
    pretty_exceptions_show_locals=False,
)
application.command("serve", epilog="Example: nightlatch serve --host 0.0.0.0 --port 443")(serve)
application.command("migrate")(migrate)
application.add_typer(organizations, name="organization")
application.add_typer(users, name="user")
application.add_typer(members, name="member")
application.add_typer(tokens, name="token")
application.add_typer(lease, name="lease")
application.command("audit", epilog="Example: nightlatch audit --organization acme --since 7d --format csv")(
    audit
)
application.add_typer(moving, name="import")
application.command(
    "shadow",
    epilog="Example: nightlatch shadow https://old.example.com/me/ https://auth.example.com < headers",
)(shadow)
application.command("doctor")(doctor)
application.command("backup", epilog="Example: nightlatch backup /var/backups/nightlatch-monday.db")(backup)
application.command("restore")(restore)
application.command("restored")(restored)
application.command("version")(version)


@application.callback()
def root(
    context: typer.Context,
    config: ConfigOption = None,
    database_url: DatabaseUrlOption = None,
    _version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", callback=print_version, is_eager=True),
    ] = False,
) -> None:
    """Keep the options that stand before the command, for the command to find."""
    context.obj = Call(config, database_url)


def _open_closed_streams() -> None:
    """Give a closed stdin, stdout or stderr something, or a database file would get its number.

    Ends the process with 2 where standard output is closed: a generated password would be lost.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - for the rest of the process
    if sys.stdout is None:
        sys.stderr.write("nightlatch: standard output is closed; send it to /dev/null instead.\n")
        sys.exit(2)


def run() -> None:
    """The `nightlatch` command; ends the process with its exit code."""
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal's encoding cannot show must not end a listing.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    # What Typer refuses reaches no command, so that nobody has read --json yet.
    json = "--json" in sys.argv[1:]
    try:
        code = application(prog_name="nightlatch", standalone_mode=False)
    except typer.Abort:
        sys.stderr.write("nightlatch: Aborted; nothing was changed.\n")
        code = 1
    except typer.TyperException as error:
        report_usage(error, json)
        code = error.exit_code
    except Exception as error:
        report_bug(error, json)
        code = 1
    sys.exit(code or 0)
