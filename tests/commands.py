"""The `nightlatch` command as a process of its own, for tests that need no more of it than an answer."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """What a command said, and its exit code."""

    code: int
    out: str
    error: str

    @property
    def document(self) -> Any:
        """Standard output as one JSON document."""
        return json.loads(self.out)


def start_command(
    database_url: str, *arguments: str, folder: Path | None = None, settings: dict[str, str] | None = None
) -> "subprocess.Popen[bytes]":
    """Start it; settings become variables."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NIGHTLATCH_")}
    chosen = {"password_hash_memory_kib": "8", "password_hash_time_cost": "1"} | (settings or {})
    variables = {f"NIGHTLATCH_{name.upper()}": value for name, value in chosen.items()}
    return subprocess.Popen(
        [sys.executable, "-m", "nightlatch", *arguments],
        env=kept | variables | {"NIGHTLATCH_DATABASE_URL": database_url},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def run_command(
    database_url: str,
    *arguments: str,
    folder: Path | None = None,
    settings: dict[str, str] | None = None,
) -> Outcome:
    """Run it to its end."""
    process = start_command(database_url, *arguments, folder=folder, settings=settings)
    out, error = process.communicate(timeout=60)
    return Outcome(process.returncode, out.decode(), error.decode())
