"""Where a new password comes from: the terminal, standard input, or chance; never from an argument.

What stands in an argument is shown to every user of the machine, and kept in the shell's history.
"""

import getpass
import secrets
import sys
from dataclasses import dataclass, field
from typing import Annotated, Final

import typer

from nightlatch.cli.confirmation import on_terminal
from nightlatch.cli.failure import WrongUse
from nightlatch.model.errors import InvalidValue, Refused

_GENERATED_BYTES: Final = 18
"""144 random bits: 24 characters; more where passwords must be longer."""

_INPUT_BYTES_MAX: Final = 64 * 1024
"""Far more than a password may have; so much is read before it is refused."""

PasswordStdinOption = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input, one line.")
]
GeneratePasswordOption = Annotated[
    bool, typer.Option("--generate-password", help="Generate a password, and print it once.")
]


@dataclass(frozen=True, slots=True)
class NewPassword:
    """A password to be set; the text shows in no repr."""

    text: str = field(repr=False)
    generated: bool

    @property
    def to_print(self) -> str | None:
        """The password if it was generated: nobody else knows it then."""
        return self.text if self.generated else None


def new_password(from_stdin: bool, generate: bool, length_min: int) -> NewPassword:
    """The password from where the flags say, else asked for twice on the terminal.

    A generated one has at least `length_min` characters.

    Raises WrongUse, InvalidValue, or Refused at the end of a terminal's input.
    """
    if from_stdin and generate:
        raise WrongUse("--password-stdin and --generate-password exclude each other.")
    if generate:
        # Four characters are made of three bytes.
        count = max(_GENERATED_BYTES, length_min * 3 // 4 + 1)
        return NewPassword(secrets.token_urlsafe(count), generated=True)
    try:
        return NewPassword(_from_stdin() if from_stdin else _from_terminal(), generated=False)
    except UnicodeDecodeError:
        # `from None`: the error holds the bytes.
        raise InvalidValue("password", "The password is not in UTF-8.") from None


def _from_stdin() -> str:
    if sys.stdin is None:
        raise WrongUse("--password-stdin: standard input is closed.")
    line = sys.stdin.buffer.read(_INPUT_BYTES_MAX).removesuffix(b"\n")
    if b"\n" in line:
        raise InvalidValue("password", "Standard input has more than one line; a password is one.")
    return line.decode("utf-8")


def _from_terminal() -> str:
    if not on_terminal():
        raise WrongUse(
            "Standard input is no terminal to ask for a password on. "
            "Use --password-stdin or --generate-password."
        )
    try:
        first = getpass.getpass("New password: ")
        second = getpass.getpass("The same again: ")
    except EOFError:
        raise Refused("Nothing was changed.") from None
    if first != second:
        raise InvalidValue("password", "The two passwords are not the same.")
    return first
