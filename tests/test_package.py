"""The wheel holds what a server needs, and runs after `pip install`."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.postgresql import free_port
from tests.sockets import exchange

PROJECT = Path(__file__).parent.parent
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    kept = shutil.ignore_patterns(".venv", ".git", "*.db*", ".*_cache", ".hypothesis")
    shutil.copytree(PROJECT, source, ignore=kept)
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source)],
        check=True,
        capture_output=True,
    )
    return next(folder.glob("*.whl"))


def test_the_wheel_has_types_migrations_license_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for needed in (
        "nightlatch/py.typed",
        "nightlatch/store/migrations/env.py",
        "nightlatch/store/migrations/versions/r0001_first_schema.py",
        "nightlatch/store/migrations/versions/r0002_operation.py",
        "nightlatch/store/migrations/versions/r0003_child_tokens.py",
        "nightlatch/store/migrations/versions/r0004_imported.py",
        "nightlatch/store/migrations/versions/r0005_console.py",
        "nightlatch/console/templates/tokens.html",
        "nightlatch/console/static/console.css",
        "nightlatch/console/locale/de/LC_MESSAGES/nightlatch.mo",
        "nightlatch/edge/templates/set_password.html",
        "nightlatch/edge/templates/style.css",
    ):
        assert needed in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"nightlatch"}


def test_the_wheel_serves_after_pip_install(wheel: Path, tmp_path: Path) -> None:
    # Dependencies are taken from this environment, the package itself only from the wheel.
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run(
        [
            _pip(), "-m", "pip", "--python", str(python), "install", "--quiet", "--no-index", "--no-deps",
            "--disable-pip-version-check", str(wheel),
        ],
        check=True,
    )  # fmt: skip
    site = Path(sysconfig.get_path("purelib", vars={"base": str(tmp_path / "venv")}))
    dependencies = sysconfig.get_path("purelib")
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{site}{os.pathsep}{dependencies}"}
    command = tmp_path / "venv" / "bin" / "nightlatch"
    version = subprocess.run(
        [command, "version"], env=environment, capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert version.stdout.startswith("nightlatch ")
    port = free_port()
    server = subprocess.Popen(
        [command, "serve", "--port", str(port)], env=environment, cwd=tmp_path, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(400):
            try:
                assert exchange(port, "GET", "/health/ready/").status == 200
                break
            except OSError:
                assert server.poll() is None
                subprocess.run(["sleep", "0.05"], check=True)
        assert exchange(port, "GET", "/openapi.json").status == 200
        assert exchange(port, "GET", "/docs/assets/swagger-ui.css").status == 200
    finally:
        server.terminate()
        assert server.wait(15) == 0


def _pip() -> str:
    """A Python that has pip: the environment that `make` makes has none of its own."""
    for candidate in (sys.executable, "/usr/bin/python3", shutil.which("python3") or ""):
        if (
            candidate
            and subprocess.run([candidate, "-m", "pip", "--version"], capture_output=True).returncode == 0
        ):
            return candidate
    pytest.fail("no pip on this machine")
