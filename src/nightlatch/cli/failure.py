"""How a command fails: on standard error for people, with --json on standard output for scripts too.

0  done
1  refused or failed; nothing was changed, unless the sentence says otherwise
2  the command was used wrongly: an unknown option, a missing argument, an unusable value
"""

import sys
import traceback

import typer

from nightlatch.cli.output import print_document
from nightlatch.model.errors import CannotStart, InvalidValue, NightlatchError, Refused, Unavailable
from nightlatch.model.plain_text import printable


class WrongUse(Refused):
    """The options do not fit together, or one is missing that only a terminal could replace."""

    code = "usage"


def exit_code(error: NightlatchError) -> int:
    """The exit code that tells of this error."""
    return 2 if isinstance(error, InvalidValue | WrongUse) else 1


def report_failure(error: NightlatchError, json: bool) -> None:
    """Tell of an error that was raised on purpose."""
    # Only settings have several sentences; anywhere else a line break came in with a name.
    lines = error.public.split("\n") if isinstance(error, CannotStart) else [error.public]
    for line in lines:
        _complain(printable(line))
    if isinstance(error, Unavailable) and error.detail:
        # For these the reason is what an operator needs, and there is no log where it would stand.
        _complain(printable(error.detail))
    if json:
        print_document({"error": error.code, "message": error.public})


def report_usage(error: typer.TyperException, json: bool) -> None:
    """Tell of what Typer refused, with the command's usage where it knows it."""
    if "unexpected extra argument" in error.message:
        # Typer repeats the argument; somebody who does not know --password-stdin types a password here.
        error.message = "There is an argument too many. It is not repeated here: it may be a password."
    show = getattr(error, "show", None)
    if show is None:
        _complain(printable(error.format_message()))
    else:
        show()
    if json:
        print_document({"error": WrongUse.code, "message": error.format_message()})


def report_bug(error: Exception, json: bool = False) -> None:
    """Tell of an error that nobody foresaw: where it happened, but not what it says.

    Its message may hold a part of a password or of a database URL, as that of an int() that failed.
    """
    sentence = f"This is a bug in nightlatch, or a failure that it does not know: {type(error).__name__}."
    for cause in _chain(error):
        sys.stderr.write("".join(traceback.format_tb(cause.__traceback__)))
        sys.stderr.write(f"{type(cause).__module__}.{type(cause).__qualname__}\n")
    _complain(sentence)
    if json:
        print_document({"error": "unexpected", "message": sentence})


def _chain(error: BaseException) -> list[BaseException]:
    """The error and what led to it, first cause first."""
    chain = [error]
    while len(chain) < 10:
        cause = chain[0].__cause__ or (None if chain[0].__suppress_context__ else chain[0].__context__)
        if cause is None:
            break
        chain.insert(0, cause)
    return chain


def _complain(line: str) -> None:
    sys.stderr.write(f"nightlatch: {line}\n")
