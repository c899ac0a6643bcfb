"""Text that is safe to show: what strangers have chosen, without what does more than show itself."""

import json
from typing import Any


def printable(text: str) -> str:
    """The text with U+FFFD for every character that does more on a terminal than show itself."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def document_text(document: Any) -> str:
    """The document in one line of ASCII: so it is neither mangled nor obeyed by a terminal."""
    # JSON leaves DEL as it is; outside of strings it cannot occur.
    return json.dumps(document).replace("\x7f", "\\u007f")
