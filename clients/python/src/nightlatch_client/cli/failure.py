"""How a command fails: a sentence on standard error, and an exit code.

0  done
1  refused or failed
2  the command was used wrongly
"""

import sys
import traceback


class Failed(Exception):
    """Ends a command with a sentence."""

    def __init__(self, sentence: str, code: int = 1) -> None:
        super().__init__(sentence)
        self.code = code


def printable(text: str) -> str:
    """The text with U+FFFD for every character that does more on a terminal than show itself."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def complain(sentence: str) -> None:
    """Tell of it on standard error."""
    sys.stderr.write(f"nightlatch-client: {printable(sentence)}\n")


def complain_of_bug(error: Exception) -> None:
    """Tell where an error that nobody foresaw happened, but not what it says: it may hold a secret."""
    sys.stderr.write("".join(traceback.format_tb(error.__traceback__)))
    complain(f"This is a bug, or a failure that it does not know: {type(error).__name__}.")
