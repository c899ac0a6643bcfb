"""A text that does not show."""


class Secret:
    """Holds a text that no repr, log or traceback with the values of variables shall show."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return "Secret(…)"

    def reveal(self) -> str:
        """The text."""
        return self._text
