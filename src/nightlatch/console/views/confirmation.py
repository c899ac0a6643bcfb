"""A question before something is done, which names what follows from it."""

from dataclasses import dataclass

from nightlatch.console.views.password_again import PasswordAgain


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The page `confirm.html`: its form sends `fields` to `action`."""

    section: str
    title: str
    sentences: tuple[str, ...]
    consequences: tuple[str, ...]
    action: str
    fields: tuple[tuple[str, str], ...]
    button: str
    is_danger: bool
    cancel_url: str
    again: PasswordAgain
    problem: str = ""
