"""Run the benchmarks on both databases and append a line for each to bench/results.jsonl."""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.accounts import Accounts
from tests.postgresql import PostgresqlServer, embedded_installation, free_port
from tests.serving import Serving

from bench.baseline import hashes_per_second
from bench.load import logins_per_second, requests_per_second

SECONDS = 10
CONNECTIONS = 32
LOGINS_AT_ONCE = 8
ORGANIZATIONS = 120
RESULTS = Path(__file__).parent / "results.jsonl"
OWASP_HASH: dict[str, Any] = {"password_hash_memory_kib": 19456, "password_hash_time_cost": 2}


def _bare_server(folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    port = free_port()
    command = ["--interface", "asgi", "--http", "1", "--loop", "uvloop", "--no-ws", "--no-log"]
    with (folder / "bare.log").open("wb") as log:
        process = subprocess.Popen(
            [
                str(Path(sys.executable).parent / "granian"),
                *command,
                "--port",
                str(port),
                "bench.baseline:bare_application",
            ],
            stdout=log,
            stderr=log,
        )
    time.sleep(2)
    return process, port


def _measure(database_url: str, folder: Path) -> dict[str, Any]:
    cores = len(os.sched_getaffinity(0))
    accounts = Accounts(database_url, **OWASP_HASH)
    people = [accounts.add_person() for _ in range(ORGANIZATIONS)]
    token = accounts.log_in(accounts.add_person())
    bare, bare_port = _bare_server(folder)
    serving = Serving(database_url, folder / "log", **OWASP_HASH).wait_ready()
    try:
        base = f"http://127.0.0.1:{serving.port}"
        header = [f"Authorization: Token {token}"]
        bare_rate = requests_per_second(f"http://127.0.0.1:{bare_port}/", CONNECTIONS, SECONDS)
        list_rate = requests_per_second(f"{base}/api/v1/organizations/", CONNECTIONS, SECONDS, header)
        # The bare hash before and after, so that a machine that slows down shows.
        before = hashes_per_second(cores, SECONDS / 2)
        logins = logins_per_second(serving.port, people, LOGINS_AT_ONCE, SECONDS)
        after = hashes_per_second(cores, SECONDS / 2)
    finally:
        bare.terminate()
        serving.stop()
        accounts.close()
    hashes = (before + after) / 2
    return {
        "cores": cores,
        "bare_requests_per_second": round(bare_rate),
        "list_requests_per_second": round(list_rate),
        "list_to_bare": round(list_rate / bare_rate, 3),
        "hashes_per_second": round(hashes, 1),
        "hashes_before_after": [round(before, 1), round(after, 1)],
        "logins_per_second": round(logins, 1),
        "logins_to_hashes": round(logins / hashes, 3),
    }


def main() -> None:
    """One line of results for each database."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    ).stdout.strip()
    postgresql = PostgresqlServer(embedded_installation())
    try:
        for name in ("sqlite", "postgresql-18"):
            with tempfile.TemporaryDirectory() as folder:
                url = f"sqlite:///{folder}/bench.db" if name == "sqlite" else postgresql.create_database()
                result = {
                    "at": datetime.now(UTC).isoformat(timespec="seconds"),
                    "commit": commit,
                    "machine": f"{platform.machine()}, Python {platform.python_version()}",
                    "database": name,
                    **_measure(url, Path(folder)),
                }
            print(json.dumps(result, indent=2))
            with RESULTS.open("a") as file:
                file.write(json.dumps(result) + "\n")
    finally:
        postgresql.remove()


if __name__ == "__main__":
    main()
