"""Passwords on the command line: from a prompt, from standard input, or generated. Never arguments."""

import os
import secrets
import sys
from typing import Annotated

import typer

PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from the first line of standard input.")
]
GeneratePassword = Annotated[
    bool, typer.Option("--generate-password", help="Make a password, and print it this once.")
]


def read_password(password_stdin: bool, generate_password: bool) -> str:
    """The password, in the one way that was asked for."""
    if password_stdin and generate_password:
        raise typer.BadParameter("give one of --password-stdin and --generate-password, not both")
    if generate_password:
        return secrets.token_urlsafe(18)
    if password_stdin:
        return _from_stdin()
    if not os.isatty(0):
        raise typer.BadParameter(
            "there is no terminal to ask for a password on: give --password-stdin or --generate-password"
        )
    password: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    return password


def _from_stdin() -> str:
    line = sys.stdin.buffer.readline()
    try:
        return line.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise typer.BadParameter("the password on standard input is not UTF-8") from None
