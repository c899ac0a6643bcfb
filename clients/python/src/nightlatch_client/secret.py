"""A text that does not show."""


def is_text(value: object) -> bool:
    """Whether it is a str that UTF-8 can encode: it has no surrogates, which Python reads broken bytes as."""
    return isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)


class Secret:
    """Holds a text that no repr, log or traceback with the values of variables shall show."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return "Secret(…)"

    def is_text(self) -> bool:
        """Whether it is a str that UTF-8 can encode."""
        return is_text(self._text)

    def digest(self) -> int:
        """To tell whether another is the same text, in this process only: its key is the process's own."""
        return hash(self._text)

    def reveal(self) -> str:
        """The text."""
        return self._text
