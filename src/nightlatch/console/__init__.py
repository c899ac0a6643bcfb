"""The console: pages on which owners and members see and end their tokens."""

from typing import Final

PATH: Final = "/console/"
