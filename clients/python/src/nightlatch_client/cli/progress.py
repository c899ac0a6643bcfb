"""A note on standard error when something takes longer than a second."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console

_AFTER_SECONDS: Final = 1.0


@contextmanager
def noted(what: str) -> Iterator[None]:
    """Tell that it goes on: on a terminal as long as it does, elsewhere once."""
    console = Console(file=sys.stderr, highlight=False, markup=False, emoji=False)
    status = console.status(f"{what} …")

    def tell() -> None:
        if console.is_terminal:
            status.start()
        else:
            console.print(f"{what} …")

    timer = threading.Timer(_AFTER_SECONDS, tell)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        status.stop()
