"""Reports: tables to read and to paste into the documentation, and a line for each result in a file."""

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

RESULTS: Final = Path(__file__).parent / "results.jsonl"


def median(values: Sequence[float], digits: int = 3) -> float:
    """The median, rounded."""
    return round(statistics.median(values), digits)


def percentile(values: Sequence[float], percent: int, digits: int = 3) -> float:
    """The smallest value that so many percent of the values do not exceed, rounded."""
    ranked = sorted(values)
    return round(ranked[max(0, -(-len(ranked) * percent // 100) - 1)], digits)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table in Markdown."""
    cells = [[str(cell) for cell in row] for row in [columns, *rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(columns))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    print(f"\n{title}\n", *lines, "", sep="\n", flush=True)


def commit() -> str:
    """What is checked out."""
    return subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    ).stdout.strip()


def append(section: str, database: str, busy: float, result: dict[str, Any]) -> None:
    """Add a line to the results. `busy`: the load average just before, to judge the figures by."""
    line = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "cores": len(os.sched_getaffinity(0)),
        "load_average": round(busy, 2),
        "database": database,
        "section": section,
        **result,
    }
    with RESULTS.open("a") as file:
        file.write(json.dumps(line) + "\n")
