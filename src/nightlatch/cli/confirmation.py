"""Confirmation of what cannot be undone."""

import sys

from nightlatch.cli.failure import WrongUse
from nightlatch.model.errors import Refused
from nightlatch.model.plain_text import printable


def confirm(question: str, yes: bool) -> None:
    """Return if the operator wants it: has said --yes, or says so on the terminal now.

    Raises WrongUse where there is no terminal to ask on, and Refused for any answer but yes.
    """
    if yes:
        return
    if not on_terminal():
        raise WrongUse(
            "This asks for confirmation, and standard input is no terminal. To confirm, add --yes."
        )
    # Not on standard output, which is the answer's.
    sys.stderr.write(f"{printable(question)} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Refused("Nothing was changed.")


def on_terminal() -> bool:
    """Whether there is a person to ask."""
    return sys.stdin is not None and sys.stdin.isatty()
