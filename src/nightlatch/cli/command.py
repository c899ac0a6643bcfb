"""What every command has in common: its shared options, its one answer, and how it fails.

A command is a function that takes a Call and gives an Answer, or None if there is nothing to say.
`command` turns it into what Typer wants: with --config, --database-url and --json after the
command's own options, the answer printed in the form asked for, and errors turned into exit codes.
"""

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec

import typer

from nightlatch.cli.failure import exit_code, report_bug, report_failure
from nightlatch.cli.output import Answer, print_answer
from nightlatch.model.errors import NightlatchError

if TYPE_CHECKING:
    from nightlatch.cli.session import Session
    from nightlatch.settings import Settings

_Parameters = ParamSpec("_Parameters")

ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="TOML file with settings.")
]
DatabaseUrlOption = Annotated[
    str | None,
    typer.Option(
        "--database-url",
        metavar="URL",
        help="sqlite:///FILE or postgresql://USER@HOST/DATABASE. Others on this machine can see a password "
        "in it: then set NIGHTLATCH_DATABASE_URL instead.",
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Write one JSON document to standard output, for scripts.")
]


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a command: which settings were named on the command line, and whether --json was."""

    config: Path | None
    database_url: str | None
    json: bool = False

    def settings(self, **flags: Any) -> "Settings":
        """The settings in force, with the command's own flags. Raises CannotStart."""
        # Imported here, as elsewhere in cli/: --help and version need nothing of it and stay quick.
        from nightlatch.settings import load_settings

        return load_settings({"database_url": self.database_url, **flags}, self.config, os.environ)

    def session(self) -> "Session":
        """What runs use cases on an existing database. Raises CannotStart if there is none."""
        from nightlatch.cli.session import open_session

        return open_session(self.settings())


def command(
    function: Callable[Concatenate[Call, _Parameters], Answer | None],
) -> Callable[..., None]:
    """The function as a Typer command; the module's docstring says what is added."""

    @wraps(function)
    def run(
        context: typer.Context, config: Path | None, database_url: str | None, json: bool, **arguments: Any
    ) -> None:
        before: Call = context.obj
        call = Call(config or before.config, database_url or before.database_url, json)
        try:
            answer = function(call, **arguments)  # type: ignore[call-arg]
        except NightlatchError as error:
            report_failure(error, json)
            raise typer.Exit(exit_code(error)) from None
        except (typer.Exit, typer.Abort):
            raise
        except Exception as error:
            report_bug(error, json)
            raise typer.Exit(1) from None
        if answer is not None:
            print_answer(answer, json)
            if answer.exit_code:
                raise typer.Exit(answer.exit_code)

    own = list(inspect.signature(function).parameters.values())[1:]
    shared = {
        "config": (ConfigOption, None),
        "database_url": (DatabaseUrlOption, None),
        "json": (JsonOption, False),
    }
    keyword = inspect.Parameter.KEYWORD_ONLY
    # Typer reads the signature: that of `run` does not tell it about the command's own parameters.
    run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter("context", keyword, annotation=typer.Context),
            *(parameter.replace(kind=keyword) for parameter in own),
            *(
                inspect.Parameter(name, keyword, annotation=annotation, default=default)
                for name, (annotation, default) in shared.items()
            ),
        ]
    )
    run.__annotations__ = {"context": typer.Context}
    return run
