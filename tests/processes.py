"""Processes, as Linux tells about them."""

import time
from pathlib import Path


def children_of(pid: int) -> list[int]:
    """The processes that it has started."""
    found = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for file in found for child in file.read_text().split()]


def ends(pid: int) -> bool:
    """Whether the process ends within some seconds; one that nobody has waited for yet has ended."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.01)  # looked again: nobody but its parent is told when a process ends
    return False
