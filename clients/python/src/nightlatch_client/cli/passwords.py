"""Where the password comes from: standard input, a variable, the keyring, the terminal; never an argument."""

import getpass
import os
import sys
from collections.abc import Callable
from typing import Final

from nightlatch_client.cli.failure import Failed
from nightlatch_client.cli.profiles import Profile
from nightlatch_client.keyring_cache import SERVICE

VARIABLE: Final = "NIGHTLATCH_CLIENT_PASSWORD"
_BYTES_MAX: Final = 64 * 1024


def _entry(profile: Profile) -> str:
    return f"password {profile.url} {profile.username} {profile.organization_id}"


def password_of(profile: Profile, from_stdin: bool = False) -> Callable[[], str]:
    """Fetches the password when it is needed, and asks for it once only. Raises Failed then."""
    found: list[str] = []

    def fetch() -> str:
        if not found:
            found.append(_from_stdin() if from_stdin else _find(profile))
        return found[0]

    return fetch


def remember_password(profile: Profile, password: str) -> None:
    """Keep the password in the system's keyring."""
    try:
        import keyring
        import keyring.errors
    except ImportError:
        raise Failed("--remember needs the package keyring: pip install keyring.") from None
    try:
        keyring.set_password(SERVICE, _entry(profile), password)
    except keyring.errors.KeyringError as error:
        raise Failed(f"The system's keyring cannot be used ({type(error).__name__}).") from None


def _from_stdin() -> str:
    line = sys.stdin.buffer.read(_BYTES_MAX).removesuffix(b"\n").removesuffix(b"\r")
    if b"\n" in line or not line:
        raise Failed("Standard input is to have one line, the password.", 2)
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        raise Failed("The password on standard input is not in UTF-8.", 2) from None


def _find(profile: Profile) -> str:
    if password := os.environ.get(VARIABLE):
        return password
    if password := _from_keyring(profile):
        return password
    if not sys.stdin.isatty():
        raise Failed(
            f"A password is needed, and there is no terminal to ask on. Set {VARIABLE}, or: "
            "nightlatch-client login --password-stdin",
            2,
        )
    try:
        # To the terminal itself: standard output may be on its way into a variable.
        return getpass.getpass(f"Password of {profile.username} in {profile.organization_id}: ")
    except EOFError:
        raise Failed("No password was given.") from None


def _from_keyring(profile: Profile) -> str | None:
    try:
        import keyring
        import keyring.errors
    except ImportError:
        return None
    try:
        return keyring.get_password(SERVICE, _entry(profile))
    except keyring.errors.KeyringError:
        return None
