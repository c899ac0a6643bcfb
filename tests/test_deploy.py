"""The files in deploy/: what can be told of them without Docker and without a running systemd."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from tests.accounts import Accounts
from tests.conftest import need
from tests.serving import Serving

PROJECT = Path(__file__).parent.parent
DOCKER = PROJECT / "deploy" / "docker"
UNIT = PROJECT / "deploy" / "systemd" / "nightlatch.service"


def instructions() -> list[tuple[str, str]]:
    """Of the Dockerfile: keyword and what follows, continued lines joined."""
    text = re.sub(r"\\\n\s*", "", (DOCKER / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


def services() -> dict[str, Any]:
    """Those of the compose file."""
    found: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]
    return found


def test_the_image_copies_what_there_is_and_what_is_not_ignored() -> None:
    let_through = {
        line[1:] for line in (DOCKER / "Dockerfile.dockerignore").read_text().splitlines() if line[0] == "!"
    }
    copied = [
        name
        for word, rest in instructions()
        if word == "COPY" and not rest.startswith("--from")
        for name in rest.split()[:-1]
    ]
    assert set(copied) == let_through
    assert all((PROJECT / name).exists() for name in copied)


def test_the_image_installs_locked_packages_only_and_runs_as_nobody_in_particular() -> None:
    installs = [rest for word, rest in instructions() if word == "RUN" and "pip install" in rest]
    assert all("--require-hashes" in rest or "--no-deps" in rest for rest in installs)
    assert dict(instructions())["USER"] == "10001:10001"


@pytest.mark.slow
def test_the_health_checks_tell_a_server_that_answers_from_one_that_does_not(tmp_path: Path) -> None:
    of_image = json.loads(dict(instructions())["HEALTHCHECK"].partition("CMD ")[2])
    of_service = services()["server"]["healthcheck"]["test"][1:]
    url = f"sqlite:///{tmp_path}/nightlatch.db"
    Accounts(url).close()
    server = Serving(url, tmp_path / "log").wait_ready(60)
    for command in (of_image, of_service):
        assert command[0] == "python"
    commands = [
        [sys.executable, "-c", command[2].replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")]
        for command in (of_image, of_service)
    ]
    try:
        assert [subprocess.run(command).returncode for command in commands] == [0, 0]
    finally:
        server.stop()
    for command in commands:
        assert subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 1


def test_the_composed_servers_can_write_nothing_and_know_their_password_by_a_file() -> None:
    for name in ("migrate", "server"):
        service = services()[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "--config" in service["command"]
        assert service["secrets"] == ["nightlatch.toml"]
    assert "POSTGRES_PASSWORD" not in services()["database"]["environment"]


def test_systemd_knows_every_line_of_the_unit(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    need(analyze is not None, "systemd-analyze")
    assert analyze is not None
    unit = tmp_path / "nightlatch.service"
    # The program is elsewhere here; everything else is as it is.
    unit.write_text(UNIT.read_text().replace("/opt/nightlatch/.venv/bin/nightlatch", "/bin/true"))
    done = subprocess.run([analyze, "verify", "--man=no", str(unit)], capture_output=True, text=True)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "nightlatch" in line]) == (0, [])
