"""The command's root, and what errors become.

Exit codes: 0 done; 1 refused or failed; 2 the command line itself is wrong. With --json an error is
a document too: {"error": code, "message": sentence}.
"""

import sys
import traceback

import typer
from typer.exceptions import Abort, TyperException

from nightlatch.cli import member, organization, token, user
from nightlatch.cli.migrate import migrate
from nightlatch.cli.output import Json, print_json, print_sentence, printable
from nightlatch.cli.serve import serve
from nightlatch.cli.session import Config, DatabaseUrl
from nightlatch.model.errors import InvalidValue, NightlatchError

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
app.command()(serve)
app.command()(migrate)
app.add_typer(organization.app, name="organization")
app.add_typer(user.app, name="user")
app.add_typer(member.app, name="member")
app.add_typer(token.app, name="token")


@app.callback()
def root(config: Config = None, database_url: DatabaseUrl = None) -> None:
    """Nightlatch: tokens for the people of an organization.

    Settings come from flags, then from NIGHTLATCH_… variables, then from the file given by --config.
    """


@app.command()
def version(as_json: Json = False) -> None:
    """Print the version."""
    from nightlatch.store.schema import server_version

    if as_json:
        print_json({"version": server_version()})
    else:
        print_sentence(f"nightlatch {server_version()}")


def run() -> None:
    """The `nightlatch` command."""
    arguments = sys.argv[1:]
    try:
        code = app(arguments, prog_name="nightlatch", standalone_mode=False)
    except InvalidValue as error:
        code = _fail(arguments, error.code, error.public, 2)
    except NightlatchError as error:
        code = _fail(arguments, error.code, error.public, 1)
    except Abort:
        code = _fail(arguments, "aborted", "Aborted; nothing was changed.", 1)
    except TyperException as error:
        code = _usage(arguments, error)
    except Exception as error:
        # Only the places, never the values: they may hold a password.
        sys.stderr.write("".join(traceback.format_tb(error.__traceback__)))
        code = _fail(arguments, "unexpected", f"Unexpected {type(error).__name__}.", 1)
    sys.exit(code or 0)


def _usage(arguments: list[str], error: TyperException) -> int:
    show = getattr(error, "show", None)  # with usage and hint, for what the parser itself refuses
    if "--json" in arguments or show is None:
        return _fail(arguments, "usage", error.format_message(), error.exit_code)
    show()
    return error.exit_code


def _fail(arguments: list[str], code: str, sentence: str, exit_code: int) -> int:
    if "--json" in arguments:
        print_json({"error": code, "message": sentence})
    typer.echo(f"nightlatch: {printable(sentence)}", err=True)
    return exit_code
